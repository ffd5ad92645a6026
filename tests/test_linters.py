"""The house's own rules, run as tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        (str(BIN / "ruff"), "check", "."),
        (str(BIN / "mypy"),),
        (str(BIN / "lint-imports"),),
    ],
    ids=["ruff", "mypy", "import-linter"],
)
def test_the_tree_keeps_the_rule(command: tuple[str, ...]) -> None:
    """Each checker ends with exit code 0 on the whole tree."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_is_longer_than_400_lines() -> None:
    """Small rooms: a module that grows past 400 lines wants to be two."""
    long = [str(path) for path in ROOT.glob("agent/**/*.py") if len(path.read_text().splitlines()) > 400]

    assert long == []


def test_bootstrap_is_a_posix_shell_script() -> None:
    """`sh -n` reads the script without a complaint."""
    shell = shutil.which("dash") or "/bin/sh"
    done = subprocess.run((shell, "-n", "bootstrap"), cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)

    assert (done.returncode, done.stderr) == (0, "")
