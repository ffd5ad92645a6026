"""A home of its own for each test, and nothing left running after it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (sys.executable, "-c", "import sys; from agent.cli.main import main; sys.exit(main())")


@dataclass(frozen=True, kw_only=True)
class Agent:
    """The command line with its own home; `run` returns how it ended."""

    home: Path
    file: Path

    def look(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a verb and return how it ended, whatever its exit code."""
        environment = os.environ | {"REFNET_HOME": str(self.home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        return subprocess.run(
            (*PROGRAM, *words), capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )

    def run(self, *words: str, code: int = 0, timeout: float = 120) -> str:
        """Run a verb, expect its exit code, and return all it printed."""
        done = self.look(*words, timeout=timeout)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, text: str) -> None:
        """Replace the stack file."""
        self.file.write_text(text)

    def apply(self, *words: str, code: int = 0) -> str:
        """Apply the stack file."""
        return self.run("apply", "-f", str(self.file), "-y", *words, code=code)

    def status(self, *, code: int = 0) -> dict[str, Any]:
        """Return the status object."""
        found: dict[str, Any] = json.loads(self.run("status", "--json", code=code))
        return found

    def pids(self) -> dict[str, int]:
        """Return the process of every instance."""
        return {each["name"]: each.get("pid") for one in self.status()["services"] for each in one["instances"]}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent whose services are gone when the test ends, whatever it did."""
    home = tmp_path / "home"
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o711)
    made = Agent(home=home, file=tmp_path / "stack.yaml")
    yield made
    if (home / "instances").exists():
        made.run("destroy", "-y")


@pytest.fixture
def free_offset() -> Callable[[int], int]:
    """Return a port offset that frees the given base port."""

    def find(base: int) -> int:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            return int(trial.getsockname()[1]) - base

    return find
