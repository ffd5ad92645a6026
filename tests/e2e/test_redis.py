"""One real service, from file to running and back."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Agent


@pytest.fixture
def stack(agent: Agent, free_offset: Callable[[int], int]) -> Agent:
    """A stack of one redis, applied."""
    agent.write(f"name: demo\nport_offset: {free_offset(6380)}\nservices:\n  redis: {{}}\n")
    agent.apply()
    return agent


def test_a_second_apply_changes_nothing(stack: Agent) -> None:
    """The plan is empty, exits 0, and every process stays."""
    before = stack.pids()

    assert "Nothing to do" in stack.run("plan", "-f", str(stack.file))
    stack.apply()

    assert stack.pids() == before


def test_a_killed_service_heals_without_anyone_asking(stack: Agent) -> None:
    """Its keeper starts it again and counts the restart."""
    pid = stack.pids()["redis-1"]

    os.kill(pid, signal.SIGKILL)
    time.sleep(1)

    instance = stack.status()["services"][0]["instances"][0]
    assert (instance["status"], instance["restarts"]) == ("passing", 1)
    assert instance["pid"] != pid


def test_a_protected_service_is_pending_until_allowed(stack: Agent) -> None:
    """A plain apply leaves its process alone and says how to allow it."""
    pid = stack.pids()["redis-1"]
    change = ("--set", "services.redis.resources.memory=300")

    said = stack.run("plan", "-f", str(stack.file), *change, code=2)
    stack.apply(*change)

    assert "needs --allow-restart redis" in said
    assert stack.pids()["redis-1"] == pid
    stack.apply(*change, "--allow-restart", "redis")
    assert stack.pids()["redis-1"] != pid


def test_stop_holds_until_start(stack: Agent) -> None:
    """apply leaves a stopped service down; start brings it back."""
    stack.run("stop", "redis")

    stack.apply()
    assert stack.status()["services"][0]["healthy"] == 0

    stack.run("start", "redis")
    assert stack.status()["verdict"] == "healthy"


def test_no_secret_is_in_argv_plan_release_or_events(stack: Agent) -> None:
    """The generated password is in the store and the service's own files only."""
    secret = (stack.home / "services/redis/secrets/REDIS_PASSWORD").read_text()
    pid = stack.pids()["redis-1"]
    argv = Path(f"/proc/{pid}/cmdline").read_text()
    places = (
        argv,
        stack.run("plan", "-f", str(stack.file)),
        (stack.home / "releases/1/release.json").read_text(),
        (stack.home / "events.jsonl").read_text(),
        stack.run("secret", "list"),
    )

    assert all(secret not in place for place in places)


def test_destroy_leaves_no_process_and_keeps_the_data(stack: Agent) -> None:
    """The append-only file is still there."""
    pid = stack.pids()["redis-1"]

    stack.run("destroy", "-y")

    assert not Path(f"/proc/{pid}").exists()
    assert list((stack.home / "data/redis/data").rglob("*.aof"))


def test_every_problem_of_a_file_is_said_at_once_with_its_place(agent: Agent) -> None:
    """Unknown keys come with the nearest name, wrong values with what was expected."""
    agent.write("name: demo\nservices:\n  redis:\n    replicsa: 2\n    kill_timeout: 10\n")

    said = agent.run("validate", "-f", str(agent.file), code=64)

    assert "stack.yaml:4:5: services.redis.replicsa: unknown key 'replicsa', did you mean replicas?" in said
    assert "stack.yaml:5:5: services.redis.kill_timeout: expected a duration" in said
    assert not agent.home.exists()


def test_a_cycle_and_an_unknown_dependency_are_named(agent: Agent) -> None:
    """References are checked across services."""
    agent.write(
        "name: demo\nservices:\n"
        "  a: {command: [x], depends_on: {b: {}}}\n  b: {command: [x], depends_on: {a: {}, rediss: {}}}\n  redis: {}\n"
    )

    said = agent.run("validate", "-f", str(agent.file), code=64)

    assert "there is no service 'rediss', did you mean redis?" in said
    assert "a → b → a" in said or "b → a → b" in said


def test_two_applies_at_once_are_refused_with_the_holder_named(stack: Agent) -> None:
    """The second one exits 75."""

    with (stack.home / "lock").open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        said = stack.apply(code=75)

    assert "apply is running as pid" in said


def test_a_taken_port_is_named_with_its_owner(agent: Agent, free_offset: Callable[[int], int]) -> None:
    """Nothing is started when a stranger holds the port."""

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        agent.write(f"name: demo\nport_offset: {port - 6380}\nservices:\n  redis: {{}}\n")
        said = agent.apply(code=1)

    assert f"port {port} is taken by" in said
