"""The verb `events`: filters, one line an event, JSON with everything, and following over processes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent.engine.keeper.record import append_event
from agent.model.home import Home
from agent.operations.events import record
from tests.e2e.conftest import PROGRAM, ROOT, Agent


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    """A home with a few events and nothing that runs."""
    home = Home(root=tmp_path)
    append_event(str(home.events), {"at": "2026-01-01T00:00:00+00:00", "service": "old", "kind": "mark", "detail": {}})
    record(home.events, kind="check", service="api", instance="api-1", cause="health", detail="first line\nsecond line")
    record(home.events, kind="exited", service="db", instance="db-1", cause="running")
    return Agent(home=tmp_path, file=tmp_path / "stack.yaml")


def test_a_checks_many_lines_take_one_in_the_listing_and_are_whole_in_json(made: Agent) -> None:
    """The listing is for eyes, the JSON for programs."""
    lines = made.run("events", "api").splitlines()
    (event,) = map(json.loads, made.run("events", "api", "--json").splitlines())

    assert len(lines) == 1
    assert "first line …" in lines[0]
    assert event["detail"] == "first line\nsecond line"
    assert list(event)[:6] == ["at", "service", "instance", "kind", "cause", "detail"]
    assert event["who"]


def test_since_and_kind_choose(made: Agent) -> None:
    """Both narrow the same history."""
    young = [json.loads(line)["kind"] for line in made.run("events", "--since", "1h", "--json").splitlines()]
    exits = [json.loads(line)["service"] for line in made.run("events", "--kind", "exited", "--json").splitlines()]

    assert young == ["check", "exited"]
    assert exits == ["db"]


def test_following_shows_what_other_processes_append(made: Agent) -> None:
    """Also across the inbox being emptied by another reader."""
    environment = os.environ | {"REFNET_HOME": str(made.home), "PYTHONPATH": str(ROOT)}
    words = (*PROGRAM, "events", "--follow", "--json", "-n", "1")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["service"] == "db"
        record(Home(root=made.home).events, kind="mark", service="late")
        made.run("events")
        assert json.loads(following.stdout.readline())["service"] == "late"
        following.kill()
