"""A disk that fills up: an apply on it, and one that is under way; nothing is lost, the next apply finishes it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Agent

STACK = "name: demo\ndaemon: {enabled: false}\nservices:\n  steady: {command: [sleep, '1000']}\n"
MORE = "  more: {command: [sleep, '1000'], replicas: 2, depends_on: {greedy: {condition: completed}}}\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A home on a disk just large enough for an apply to begin."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    home = tmp_path / "home"
    home.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=230m,mode=711", "tmpfs", str(home))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield home
    subprocess.run(("umount", "-l", str(home)), check=True)


def fill(path: Path) -> str:
    """Return the shell words that write until nothing more fits."""
    return f"cat /dev/zero > {path}; dd if=/dev/zero bs=1 count=4096 >> {path}; true"


def test_an_apply_on_a_full_disk_is_refused_before_anything_is_touched(small_disk: Path, agent: Agent) -> None:
    """With what is free and what is needed; what runs goes on, and every verb still answers."""
    agent.write(STACK)
    agent.apply()
    before = agent.pids()
    subprocess.run(("sh", "-c", fill(small_disk / "filler")), capture_output=True, check=True)

    agent.write(STACK.replace("1000", "1001"))
    said = agent.apply(code=1)

    assert "nothing was changed" in said
    assert "MiB free" in said
    assert "rolled back" not in said
    for verb in ("status", "events", "why", "doctor", "logs"):
        assert "Traceback" not in agent.look(verb).stderr
    assert agent.pids() == before


def test_a_disk_that_fills_during_an_apply_loses_nothing(small_disk: Path, agent: Agent) -> None:
    """A one-shot of the same apply fills it; afterwards there is room, and the next apply ends what this one began."""
    agent.write(STACK)
    agent.apply()
    before = agent.pids()
    greedy = f'  greedy: {{type: oneshot, command: [sh, -c, "{fill(small_disk / "filler")}"]}}\n'
    agent.write(STACK + greedy + MORE)

    done = agent.look("apply", "-f", str(agent.file), "-y")

    assert done.returncode in {1, 3}, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
    assert "next:" in done.stderr
    for verb in ("status", "events", "why", "doctor", "logs"):
        assert "Traceback" not in agent.look(verb).stderr

    (small_disk / "filler").unlink()
    agent.write(STACK + "  greedy: {type: oneshot, command: ['true']}\n" + MORE)
    agent.apply()
    assert agent.pids()["steady-1"] == before["steady-1"]
    assert {name for name, pid in agent.pids().items() if pid} == {"steady-1", "more-1", "more-2"}
    assert "Nothing to do" in agent.run("plan", "-f", str(agent.file))
