"""Whatever ends an apply half-way, the next one finishes it: no orphan, no lock, an empty plan."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.command_line import Terminal, begin, ended, interrupt, running, tagged_processes, until
from tests.e2e.conftest import Agent

DELAYS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.7, 0.9, 1.1, 1.4)


def chain(value: str) -> str:
    """Return a stack whose apply takes about two seconds: a one-shot, then three services one after the other."""
    return f"name: demo\nservices:\n  setup: {{type: oneshot, command: [sh, -c, 'sleep 0.3 # {value}']}}\n" + "".join(
        f"  {name}: {{command: [sh, -c, 'exec sleep 1000 # {value}'], update: {{min_healthy_time: 400ms}}, "
        f"depends_on: {{{before}: {{condition: {state}}}}}}}\n"
        for name, before, state in (
            ("one", "setup", "completed"),
            ("two", "one", "healthy"),
            ("three", "two", "healthy"),
        )
    )


@pytest.fixture
def stack(agent: Agent, tmp_path: Path) -> Agent:
    """The chain in its first form, not yet applied; its daemon shows no metrics that others could show as well."""
    agent.write(chain("first"))
    return agent


def finish(stack: Agent) -> None:
    """Apply again and check that everything is as the file says."""
    stack.apply()
    assert "Nothing to do" in stack.run("plan", "-f", str(stack.file))
    status = stack.status()
    assert status["verdict"] == "healthy"
    pids = {each["pid"] for one in status["services"] for each in one["instances"] if each["pid"]}
    # A shell that was replaced by its command is one process: whatever else carries our mark is an orphan.
    until(lambda: tagged_processes(stack.home) == pids)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_apply_that_is_ended_at_any_moment_is_finished_by_the_next(stack: Agent, how: signal.Signals) -> None:
    """Ten moments, over a stack that runs already: each time another change of everything."""
    stack.apply()
    for number, delay in enumerate(DELAYS):
        stack.write(chain(f"change {number}"))
        with running(stack, "apply", "-f", str(stack.file), "-y") as process:
            time.sleep(delay)
            process.send_signal(how)
            process.wait(timeout=60)
            assert process.returncode in {0, -how if how is signal.SIGKILL else 130}
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finish(stack)


def test_a_first_apply_that_is_killed_shows_what_runs_and_is_finished_by_the_next(stack: Agent) -> None:
    """There is no release yet: status and logs tell from what is seen."""
    with running(stack, "apply", "-f", str(stack.file), "-y") as process:
        until(lambda: (stack.home / "instances" / "two-1" / "record.json").exists())
        process.kill()
        process.wait(timeout=30)

    found = json.loads(stack.run("status", "--json", code=2))
    assert found["release"] is None
    assert {each["name"] for each in found["services"]} >= {"one", "two"}
    assert "the first apply did not finish" in stack.run("status", code=2)
    finish(stack)


def test_ctrl_c_on_a_terminal_ends_with_130_and_says_how_to_go_on(stack: Agent) -> None:
    """What runs goes on, the lock is free, the cursor is on a line of its own."""
    terminal = Terminal(stack, "apply", "-f", str(stack.file), "-y")
    terminal.wait_for("two")
    until(lambda: (stack.home / "instances" / "one-1").exists() or not terminal.read(0.1))
    terminal.type("\x03")

    assert terminal.end() == 130
    assert "apply again" in terminal.written
    assert "Traceback" not in terminal.written
    finish(stack)


def test_ctrl_c_while_code_is_prepared_ends_the_build(agent: Agent, tmp_path: Path) -> None:
    """The build's own processes end with it, and nothing was started."""
    source = tmp_path / "app"
    source.mkdir()
    (source / "main.py").write_text("")
    mark = "1234.5"
    build = f"source: {{path: {source}, build: [sleep, '{mark}']}}"
    agent.write(f"name: demo\nservices:\n  app: {{{build}, command: [sleep, '1000']}}\n")
    process = begin(agent, "apply", "-f", str(agent.file), "-y")
    until(lambda: _runs(mark))

    interrupt(process)

    assert ended(process)[0] == 130
    assert not _runs(mark)
    assert not list((agent.home / "instances").glob("app-*"))


def _runs(word: str) -> bool:
    done = subprocess.run(("pgrep", "-f", f"^sleep {word}"), capture_output=True, timeout=10, check=False)
    return done.returncode == 0


def test_two_applies_at_once_take_turns_or_say_who_is_busy(stack: Agent) -> None:
    """75 with the holder's pid at once; with --lock-wait it waits and finds nothing to do."""
    with running(stack, "apply", "-f", str(stack.file), "-y") as first:
        until(lambda: (stack.home / "instances").exists())

        said = stack.apply(code=75)
        waited = stack.apply("--lock-wait", "30s")

        assert f"apply is running as pid {first.pid} since " in said
        assert "--lock-wait" in said
        assert "Nothing to do" in waited
        assert first.wait(timeout=30) == 0


def test_a_reader_that_leaves_ends_no_apply(stack: Agent) -> None:
    """`apply | head -1` applies everything and is silent about the pipe; so is every verb that only reads."""
    with running(stack, "apply", "-f", str(stack.file), "-y") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert stack.status()["verdict"] == "healthy"

    for words in (("status",), ("logs",), ("release", "list"), ("events",), ("--help",)):
        with running(stack, *words) as process:
            assert process.stdout is not None
            process.stdout.close()
            process.stdout = None
            assert process.wait(timeout=60) == 0, words
            assert process.stderr is not None
            assert process.stderr.read() == "", words
