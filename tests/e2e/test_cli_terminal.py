"""What people see: live lines, narrow terminals, no colours where none are wanted, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.command_line import QUIET, STEADY, Terminal, begin, ended, until
from tests.e2e.conftest import Agent

TWO = (
    f"name: demo\n{QUIET}services:\n{STEADY}"
    "  other: {command: [sleep, '1000'], depends_on: {steady: {}}, update: {min_healthy_time: 500ms}}\n"
)
ESCAPE = "\x1b["


@pytest.fixture
def stack(agent: Agent) -> Agent:
    """Two steady services, not yet applied."""
    agent.write(TWO)
    return agent


def test_a_terminal_shows_live_lines_that_end_with_a_sign(stack: Agent) -> None:
    """A header that counts, a line a service with its seconds, redrawn in place."""
    terminal = Terminal(stack, "apply", "-f", str(stack.file), "-y")

    assert terminal.end() == 0
    assert "[+] 2/2" in terminal.written
    assert re.search(r"✔ steady +healthy +\d+\.\ds", "\n".join(terminal.shown))
    assert re.search(ESCAPE.replace("[", r"\[") + r"\d+A", terminal.written), "nothing was redrawn in place"


def test_no_color_leaves_no_colour_on_a_terminal(stack: Agent) -> None:
    """Cursor movements stay, colours go."""
    terminal = Terminal(stack, "apply", "-f", str(stack.file), "-y", NO_COLOR="1")

    assert terminal.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.written)
    assert re.search(r"\x1b\[\d+A", terminal.written)


def test_a_terminal_without_cursor_movements_gets_plain_lines(stack: Agent) -> None:
    """TERM=dumb."""
    terminal = Terminal(stack, "apply", "-f", str(stack.file), "-y", TERM="dumb")

    assert terminal.end() == 0
    assert ESCAPE not in terminal.written
    assert "healthy" in terminal.written


@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_is_wider_than_the_terminal(stack: Agent, columns: int) -> None:
    """Neither the progress nor the table, and both still name the service and its state."""
    applied = Terminal(stack, "apply", "-f", str(stack.file), "-y", columns=columns)
    assert applied.end() == 0
    table = Terminal(stack, "status", columns=columns)
    assert table.end() == 0

    assert max(map(len, table.shown)) <= columns
    assert any("steady-1" in line and "passing" in line for line in table.shown)
    live = [line for line in applied.shown if "✔" in line or "[+]" in line]
    assert live
    assert max(map(len, live)) < columns


def test_a_low_terminal_shows_what_fits_while_it_lasts(agent: Agent) -> None:
    """Thirty services on ten lines: how many are hidden is said, and in the end all are shown."""
    services = "".join(f"  s{number:02}: {{command: [sleep, '1000']}}\n" for number in range(30))
    agent.write(f"name: demo\n{QUIET}services:\n{services}")
    terminal = Terminal(agent, "apply", "-f", str(agent.file), "-y", lines=10)

    assert terminal.end() == 0
    assert re.search(r"… \d+ more", terminal.written)
    assert all(f"✔ s{number:02} " in "\n".join(terminal.shown) for number in range(30))


def test_pipes_get_plain_lines_without_escapes(stack: Agent) -> None:
    """One line a step, each once."""
    code, output, error = ended(begin(stack, "apply", "-f", str(stack.file), "-y"))

    assert (code, error) == (0, "")
    assert ESCAPE not in output
    assert len(re.findall(r"\d+\.\ds  steady +healthy", output)) == 1


def test_json_progress_is_one_object_a_line_from_plan_to_release(stack: Agent) -> None:
    """The plan first, then steps, the result last."""
    code, output, _ = ended(begin(stack, "apply", "-f", str(stack.file), "-y", "--progress", "json"))
    lines = [json.loads(line) for line in output.splitlines()]

    assert code == 0
    assert [change["service"] for change in lines[0]["plan"]["changes"]] == ["steady", "other"]
    assert all(set(line) == {"service", "state", "detail", "done", "seconds"} for line in lines[1:-1])
    assert {line["service"] for line in lines[1:-1] if line["done"]} == {"steady", "other"}
    assert (lines[-1]["release"], lines[-1]["left"]) == (1, [])


def test_quiet_says_nothing_when_all_is_well_and_the_error_when_not(stack: Agent) -> None:
    """Standard output stays empty both times."""
    assert ended(begin(stack, "apply", "-f", str(stack.file), "-y", "--progress", "quiet")) == (0, "", "")

    stack.write(TWO + "  bad: {command: ['false'], restart: {mode: fail, attempts: 1}}\n")
    code, output, error = ended(begin(stack, "apply", "-f", str(stack.file), "-y", "--progress", "quiet"))

    assert (code, output) == (3, "")
    assert "bad-1 did not become healthy" in error


def test_a_failure_is_marked_on_its_live_line(stack: Agent) -> None:
    """With a cross, and the evidence below."""
    stack.write(TWO + "  bad: {command: ['false'], restart: {mode: fail, attempts: 1}}\n")
    terminal = Terminal(stack, "apply", "-f", str(stack.file), "-y")

    assert terminal.end() == 1
    assert "✘ bad" in "\n".join(terminal.shown)
    assert "error: bad-1 did not become healthy" in terminal.written


def test_status_watch_redraws_in_place_and_ends_with_ctrl_c(stack: Agent) -> None:
    """A process that is killed is seen to come back; the cursor is shown again at the end."""
    stack.apply()
    terminal = Terminal(stack, "status", "--watch", "--every", "300ms", columns=60)
    terminal.wait_for("steady-1")
    before = stack.pids()["steady-1"]
    os.kill(before, signal.SIGKILL)
    until(lambda: stack.pids()["steady-1"] not in {before, None})
    pid = str(stack.pids()["steady-1"])
    until(lambda: terminal.read(0.1) and pid in terminal.written)
    terminal.type("\x03")

    assert terminal.end() == 130
    assert "Traceback" not in terminal.written
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h") == 1
    assert re.search(r"\x1b\[\d+A", terminal.written)


def test_status_watch_on_a_pipe_is_one_object_a_look(stack: Agent) -> None:
    """With --json each line is a whole status object."""
    stack.apply()
    process = begin(stack, "status", "--watch", "--json", "--every", "200ms")
    assert process.stdout is not None
    looks = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)

    assert ended(process)[0] == 130
    assert [look["verdict"] for look in looks] == ["healthy"] * 3


def test_a_question_is_asked_on_a_terminal_and_no_means_no(stack: Agent) -> None:
    """Anything but yes changes nothing and exits 64."""
    stack.apply()
    stack.write(f"name: demo\n{QUIET}services:\n{STEADY}")
    for answer, code in (("n\n", 64), ("\x04", 64), ("y\n", 0)):
        terminal = Terminal(stack, "apply", "-f", str(stack.file))
        terminal.wait_for("remove other: go on? [y/N]")
        assert "other-1" in stack.pids()
        terminal.type(answer)
        assert terminal.end() == code
    assert "other-1" not in stack.pids()


def test_up_applies_shows_logs_and_stops_everything_on_ctrl_c(agent: Agent) -> None:
    """In reverse order of the dependencies, with 130; the next up starts them again."""
    say = "while :; do echo {name} speaks; sleep 0.2; done"
    agent.write(
        "name: demo\nservices:\n"
        f"  first: {{command: [sh, -c, '{say.format(name='first')}']}}\n"
        f"  second: {{command: [sh, -c, '{say.format(name='second')}'], depends_on: {{first: {{}}}}}}\n"
    )
    for _ in range(2):
        terminal = Terminal(agent, "up", "-f", str(agent.file))
        terminal.wait_for("first speaks")
        terminal.wait_for("second speaks")
        terminal.type("\x03")

        assert terminal.end() == 130
        assert re.search(r"\x1b\[\d+mfirst-1 +\|", terminal.written), "the prefix has no colour"
        services = agent.status(code=3)["services"]
        assert {each["pid"] for one in services for each in one["instances"]} == {None}
    stops = [
        each["service"]
        for each in map(json.loads, (agent.home / "events.jsonl").read_text().splitlines())
        if each["kind"] == "stop" and each["cause"] == "up has ended"
    ]
    assert stops == ["second", "first"] * 2


def test_up_leaves_what_ran_before(stack: Agent) -> None:
    """Only what it started is stopped."""
    stack.write(f"name: demo\n{QUIET}services:\n{STEADY}")
    stack.apply()
    pid = stack.pids()["steady-1"]
    stack.write(TWO)
    terminal = Terminal(stack, "up", "-f", str(stack.file))
    terminal.wait_for("Logs of 2 instances")
    terminal.type("\x03")

    assert terminal.end() == 130
    found = json.loads(stack.run("status", "--json", code=2))
    pids = {each["name"]: each["pid"] for one in found["services"] for each in one["instances"]}
    assert pids == {"steady-1": pid, "other-1": None}


def test_a_shell_in_run_is_a_terminal_and_ctrl_c_reaches_the_command(stack: Agent, tmp_path: Path) -> None:
    """`run` hands on the terminal: its size, its keys, and its signals; the exit code is the command's."""
    stack.apply()
    size = Terminal(stack, "run", "steady", "--", "sh", "-c", "test -t 0 && test -t 1 && stty size", columns=77)
    assert size.end() == 0
    assert "24 77" in size.written

    typed = Terminal(stack, "run", "steady", "--", "sh", "-c", "read word; echo got $word; exit 7")
    typed.type("hello\n")
    assert typed.end() == 7
    assert "got hello" in typed.written

    trapped = Terminal(
        stack, "run", "steady", "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo on; sleep 9 & wait"
    )
    trapped.wait_for("on")
    trapped.type("\x03")
    assert trapped.end() == 9
    assert "caught" in trapped.written
