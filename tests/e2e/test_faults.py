"""What goes wrong is said plainly and leaves what works alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.e2e.conftest import Agent

STEADY = "  steady: {command: [sh, -c, 'echo steady ${INSTANCE}; exec sleep 1000']}\n"


def test_a_service_that_dies_at_once_is_shown_with_its_last_words(agent: Agent) -> None:
    """Exit code and stderr are in the error; there is no release to go back to, so exit 1."""
    agent.write(f"name: demo\nservices:\n{STEADY}  broken: {{command: [sh, -c, 'echo no such thing >&2; exit 3']}}\n")

    said = agent.apply(code=1)

    assert "broken-1 did not become healthy" in said
    assert "ended with exit code 3" in said
    assert "no such thing" in said


def test_a_failing_oneshot_stops_what_depends_on_it(agent: Agent) -> None:
    """The dependent is never started."""
    agent.write(
        "name: demo\nservices:\n"
        "  setup: {type: oneshot, command: [sh, -c, 'echo cannot set up >&2; exit 4']}\n"
        "  after: {command: [sleep, '1000'], depends_on: {setup: {condition: completed}}}\n"
    )

    said = agent.apply(code=1)

    assert "setup failed" in said
    assert "cannot set up" in said
    assert not (agent.home / "instances" / "after-1").exists()


def test_a_oneshot_runs_once_and_again_only_when_it_changed(agent: Agent) -> None:
    """Two applies leave one line, a changed command adds one."""
    made = agent.home.parent / "made"
    text = "name: demo\nservices:\n  setup: {type: oneshot, command: [sh, -c, 'echo %s >> " + str(made) + "']}\n"
    agent.write(text % "one")
    agent.apply()
    agent.apply()
    assert made.read_text() == "one\n"

    agent.write(text % "two")
    agent.apply()

    assert made.read_text() == "one\ntwo\n"


def test_a_dead_keeper_is_replaced_without_touching_its_service(agent: Agent) -> None:
    """plan names it, apply adopts it, the process stays; afterwards a kill heals again."""
    agent.write(f"name: demo\ndaemon: {{enabled: false}}\nservices:\n{STEADY}")
    agent.apply()
    pid = agent.pids()["steady-1"]
    os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)

    assert "runs without its keeper" in agent.run("plan", "-f", str(agent.file), code=2)
    agent.apply()
    assert agent.pids()["steady-1"] == pid

    os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    assert agent.pids()["steady-1"] not in {pid, None}


def test_a_service_that_left_the_file_is_removed_only_with_a_yes(agent: Agent) -> None:
    """Without a terminal and without -y nothing is changed and the exit code is 64."""
    agent.write(f"name: demo\nservices:\n{STEADY}  other: {{command: [sleep, '1000']}}\n")
    agent.apply()
    agent.write(f"name: demo\nservices:\n{STEADY}")

    said = agent.run("apply", "-f", str(agent.file), code=64)
    assert "remove other" in said
    assert agent.status()["verdict"] == "healthy"

    agent.apply()
    assert "other-1" not in agent.pids()


def test_a_command_that_is_not_there_is_said_before_anything_runs(agent: Agent) -> None:
    """The name of the command and what to do about it."""
    agent.write("name: demo\nservices:\n  odd: {command: [no-such-command-here]}\n")

    assert "no-such-command-here is not on this machine" in agent.apply(code=1)


def test_deleting_data_needs_the_typed_name(agent: Agent) -> None:
    """Any other word changes nothing."""
    agent.write(f"name: demo\nservices:\n{STEADY}")
    agent.apply()

    said = agent.run("destroy", "--data", "-y", "--confirm", "other", code=64)

    assert "needs the stack's name, demo" in said
    assert agent.status()["verdict"] == "healthy"


def test_an_unknown_verb_and_an_unknown_service_name_the_nearest(agent: Agent) -> None:
    """Wrong words exit 64 with a next step, never a traceback."""
    assert "did you mean status?" in agent.run("statsu", code=64)
    agent.write(f"name: demo\nservices:\n{STEADY}")
    agent.apply()
    assert "services: steady" in agent.run("restart", "stedy", code=64)


def test_an_engine_that_cannot_run_services_yet_is_refused(agent: Agent) -> None:
    """It never runs on another engine than the one asked for."""
    agent.write(f"name: demo\nengine: nomad\nservices:\n{STEADY}")

    assert "stack.yaml:2:1: engine: nomad cannot run services yet" in agent.apply(code=64)
