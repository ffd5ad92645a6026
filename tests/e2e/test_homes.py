"""Two homes of one file live side by side, and neither touches the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command_line import until
from tests.e2e.conftest import Agent


@pytest.fixture
def second(agent: Agent, tmp_path: Path) -> Iterator[Agent]:
    """Another home beside the first."""
    made = Agent(home=tmp_path / "other", file=tmp_path / "other.yaml")
    yield made
    if (made.home / "instances").exists():
        made.run("destroy", "-y")


def test_the_same_stack_runs_twice_and_destroying_one_leaves_the_other(agent: Agent, second: Agent) -> None:
    """Same names, other ports; each has its own daemon."""
    text = "name: demo\nservices:\n  web: {command: [sleep, '1000'], replicas: 2}\n"
    agent.write(text)
    second.write(f"port_offset: 1000\n{text}")
    agent.apply()
    second.apply()
    until(lambda: agent.status()["daemon"] and second.status()["daemon"])
    assert agent.status()["daemon"]["pid"] != second.status()["daemon"]["pid"]
    before = second.pids()
    assert set(before) == {"web-1", "web-2"}
    assert not set(before.values()) & set(agent.pids().values())

    agent.run("destroy", "-y")

    assert second.pids() == before
    assert all(Path(f"/proc/{pid}").exists() for pid in before.values())
    assert "Nothing to do" in second.run("plan", "-f", str(second.file))
