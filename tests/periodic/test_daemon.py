"""Scheduled work by a real daemon: fired, recorded, never lost, never doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.conftest import Watched, wait_until
from tests.e2e.conftest import PROGRAM, ROOT
from tests.metrics.test_server import is_open, scrape

Words = dict[str, Any]


def shell(text: str, schedule: str = "every 1h", **more: object) -> Words:
    """Return a piece of work that runs a line of shell beside web."""
    return {"schedule": schedule, "service": "web", "command": ["/bin/sh", "-c", text], **more}


def history(watched: Watched, name: str) -> list[Words]:
    """Return the runs, newest first."""
    found: list[Words] = json.loads(watched.agent.run("periodic", "history", name, "--json"))["runs"]
    return found


def states(watched: Watched, name: str) -> list[str]:
    """Return the states of the runs, newest first."""
    return [run["state"] for run in history(watched, name)]


def listed(watched: Watched) -> dict[str, Words]:
    """Return what `list` says, by name."""
    found = json.loads(watched.agent.run("periodic", "list", "--json"))["periodic"]
    return {each["name"]: each for each in found}


def processes(mark: str) -> list[int]:
    """Return the processes whose command line contains the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def start(watched: Watched, *words: str) -> subprocess.Popen[bytes]:
    """Start a verb and do not wait for it."""
    environment = os.environ | {"REFNET_HOME": str(watched.agent.home), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen((*PROGRAM, *words), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_it_fires_with_the_services_environment_and_tells(watched: Watched) -> None:
    """A run each 2 seconds, each with its exit code, duration, output and events."""
    web = watched.service("web", 0, env={"clear": {"PORT": "${PORT}", "FOLDER": str(watched.folder), "MARK": "seen"}})
    watched.apply(web, periodic={"tick": shell("echo $MARK $MORE", "every 2s", env={"MORE": "on ${INSTANCE}"})})

    assert wait_until(lambda: states(watched, "tick").count("ok") >= 2)

    run = next(each for each in history(watched, "tick") if each["state"] == "ok")
    assert (run["output"], run["exit_code"], run["actor"]) == ("seen on web-1\n", 0, "schedule")
    assert run["due"].endswith("+00:00")
    dues = [each["due"] for each in history(watched, "tick")]
    assert len(dues) == len(set(dues))
    assert listed(watched)["tick"]["state"] in {"up", "running"}
    assert watched.events("periodic-ok")[0]["service"] == "periodic.tick"


def test_run_streams_and_returns_the_exit_code(watched: Watched) -> None:
    """By hand: the output comes, the code is the command's, the actor is who asked; then it is down."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("echo words; exit 7")})
    assert listed(watched)["job"]["state"] == "new"

    said = watched.agent.run("periodic", "run", "job", code=7)

    assert "words" in said
    assert "exit code 7" in said
    run = history(watched, "job")[0]
    assert (run["state"], run["exit_code"]) == ("failed", 7)
    assert run["actor"] != "schedule"
    assert listed(watched)["job"]["state"] == "down"
    assert "exit code 7" in watched.events("periodic-failed")[0]["cause"]
    assert "words" in watched.events("periodic-failed")[0]["detail"]


def test_a_second_run_by_hand_is_refused_while_one_runs(watched: Watched) -> None:
    """Exit 75, and one run in the history."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("sleep 30")})
    first = start(watched, "periodic", "run", "job")
    assert wait_until(lambda: states(watched, "job") == ["running"])

    assert "running already" in watched.agent.run("periodic", "run", "job", code=75)

    first.send_signal(signal.SIGINT)
    assert first.wait(20) == 130
    assert states(watched, "job") == ["cancelled"]


def test_a_run_that_takes_too_long_is_ended_with_all_its_children(watched: Watched) -> None:
    """Also one that left its session and one that ignores SIGTERM; the next run is not hindered."""
    mark = f"31.{os.getpid()}"
    text = f"setsid sleep {mark} & (trap '' TERM; sleep {mark}) & sleep {mark}"
    watched.apply(watched.service("web", 0), periodic={"job": shell(text, timeout="1s")})

    watched.agent.run("periodic", "run", "job", code=124)

    assert states(watched, "job") == ["timed-out"]
    assert processes(f"sleep\0{mark}") == []


def test_retries_are_made_and_counted_as_one_run(watched: Watched) -> None:
    """It fails once and then works."""
    text = f"test -e {watched.folder}/again || {{ touch {watched.folder}/again; exit 1; }}"
    watched.apply(watched.service("web", 0), periodic={"job": shell(text, retries=1)})

    watched.agent.run("periodic", "run", "job")

    assert states(watched, "job") == ["ok"]
    assert "attempt 1 failed" in history(watched, "job")[0]["output"]


def test_killing_the_daemon_ends_no_run_and_loses_none(watched: Watched) -> None:
    """The run goes on by itself and is recorded by whoever carries it out."""
    text = f"sleep 4; echo done >> {watched.folder}/done"
    watched.apply(watched.service("web", 0), periodic={"job": shell(text, "every 20s")})
    assert wait_until(lambda: "running" in states(watched, "job"), seconds=40)
    pid = watched.daemon_pid()
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: "ok" in states(watched, "job"))
    assert (watched.folder / "done").read_text() == "done\n"


def test_a_run_whose_process_is_killed_is_interrupted_and_made_again(watched: Watched) -> None:
    """kill -9 of what carries it out: its command ends too, the history says so, and the policy runs it again."""
    mark = f"33.{os.getpid()}"
    text = f"test -e {watched.folder}/second || {{ touch {watched.folder}/second; sleep {mark}; }}"
    watched.apply(watched.service("web", 0), periodic={"job": shell(text, "every 30s")})
    assert wait_until(lambda: bool(processes(f"sleep\0{mark}")), seconds=50)
    runner = next(pid for pid in processes("\0--queued\0") if str(watched.agent.home) in cmdline(pid))

    os.kill(runner, signal.SIGKILL)

    assert wait_until(lambda: states(watched, "job")[:2] == ["ok", "interrupted"])
    assert processes(f"sleep\0{mark}") == []
    again = history(watched, "job")[0]
    assert (again["catch_up"], again["attempt"]) == (True, 2)
    assert "it is run again" in watched.events("periodic-interrupted")[0]["cause"]


def cmdline(pid: int) -> str:
    """Return a process's command line."""
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("forbid", {"skipped", "ok"}), ("queue", {"ok"}), ("replace", {"replaced"})],
)
def test_overlap_does_as_it_is_told(watched: Watched, overlap: str, expected: set[str]) -> None:
    """A run of 3 s that is due each second: skipped meanwhile, made one after the other, or replaced."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("sleep 3", "every 1s", overlap=overlap)})

    assert wait_until(lambda: expected <= set(states(watched, "job")))

    running = [run for run in history(watched, "job") if run["state"] == "running"]
    assert len(running) <= 1
    if overlap == "forbid":
        assert "had not ended" in watched.events("periodic-skipped")[0]["cause"]


@pytest.mark.parametrize(("catch_up", "expected"), [("once", 1), ("skip", 0), ("all", 3)])
def test_what_was_due_while_the_daemon_was_stopped_is_caught_up_by_policy(
    watched: Watched, catch_up: str, expected: int
) -> None:
    """A moment long gone is found by the memory of the last decision, as after a night without power."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("echo ran", "0 * * * *", catch_up=catch_up)})
    assert wait_until(lambda: (watched.agent.home / "state.db").exists() and bool(known(watched)))
    pid = watched.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        minute = time.gmtime().tm_min
        hours = 3
        ago = time.gmtime(time.time() - hours * 3600 - (60 if minute < 2 else 0))
        since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", ago)
        sql(watched, f"update periodic set since = '{since}'")
    finally:
        os.kill(pid, signal.SIGCONT)

    def caught_up() -> bool:
        runs = history(watched, "job")
        return sum(run["state"] == "ok" for run in runs) >= expected and (expected > 0 or bool(runs))

    assert wait_until(caught_up)
    runs = history(watched, "job")
    assert expected <= sum(run["state"] == "ok" for run in runs) <= expected + 1
    if catch_up == "skip":
        assert "missed" in states(watched, "job")
        assert watched.events("periodic-missed")
        assert listed(watched)["job"]["state"] == "down"


def known(watched: Watched) -> str:
    """Return what is remembered of scheduled work."""
    return sql(watched, "select name from periodic")


def sql(watched: Watched, text: str) -> str:
    """Ask or change the database as another process."""
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=9); print(list(c.execute(sys.argv[2])));"
    program += "c.commit()"
    path = str(watched.agent.home / "state.db")
    done = subprocess.run(
        ("python3", "-c", program, path, text), capture_output=True, text=True, timeout=20, check=False
    )
    return "" if done.stdout.strip() == "[]" else done.stdout.strip()


def test_a_daemon_that_was_stopped_for_a_while_runs_once_and_goes_on(watched: Watched) -> None:
    """SIGSTOP over several moments: one run stands for them, and no moment comes twice."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("true", "every 2s")})
    assert wait_until(lambda: "ok" in states(watched, "job"))
    pid = watched.daemon_pid()
    assert pid is not None

    os.kill(pid, signal.SIGSTOP)
    time.sleep(7)
    before = len(history(watched, "job"))
    os.kill(pid, signal.SIGCONT)

    assert wait_until(lambda: any("stands for" in run["detail"] for run in history(watched, "job")))
    assert len(history(watched, "job")) <= before + 3
    dues = [run["due"] for run in history(watched, "job")]
    assert len(dues) == len(set(dues))


def test_pause_holds_and_resume_catches_nothing_up(watched: Watched) -> None:
    """Paused it is not due, by whom is shown, and what was due meanwhile is not made up for."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("true", "every 1s")})
    assert wait_until(lambda: "ok" in states(watched, "job"))

    watched.agent.run("periodic", "pause", "job")
    time.sleep(2)
    count = len(history(watched, "job"))
    time.sleep(3)
    assert len(history(watched, "job")) == count
    assert listed(watched)["job"]["state"] == "paused"
    assert listed(watched)["job"]["next"] is None
    watched.agent.run("periodic", "run", "job")

    watched.agent.run("periodic", "resume", "job")
    assert wait_until(lambda: len(history(watched, "job")) >= count + 2)
    assert not any("stands for" in run["detail"] for run in history(watched, "job"))


def test_its_metrics_tell_success_failure_and_what_is_next(watched: Watched, free_offset: Callable[[int], int]) -> None:
    """Every outcome is there from the start; a job that never ended well has no time of success."""
    port = free_offset(0)
    work = {"good": shell("true"), "bad": shell("exit 1")}
    watched.apply(watched.service("web", 0), periodic=work, daemon={"metrics_port": port})
    watched.agent.run("periodic", "run", "good")
    watched.agent.run("periodic", "run", "bad", code=1)
    watched.agent.run("periodic", "pause", "bad")
    assert wait_until(lambda: is_open(port))

    found = scrape(port)

    good, bad = frozenset({("job", "good")}), frozenset({("job", "bad")})
    assert found["refnet_job_last_success_timestamp_seconds", good] > time.time() - 60
    assert ("refnet_job_last_success_timestamp_seconds", bad) not in found
    assert found["refnet_job_next_run_timestamp_seconds", good] > time.time()
    assert found["refnet_job_paused", bad] == 1.0
    assert found["refnet_job_runs_total", bad | {("outcome", "failed")}] == 1.0
    assert found["refnet_job_runs_total", good | {("outcome", "failed")}] == 0.0
    assert found["refnet_job_missed_total", good] == 0.0


def test_next_lists_moments_in_the_stacks_time_zone(watched: Watched) -> None:
    """Three nights in Tokyo."""
    watched.apply(watched.service("web", 0), periodic={"job": shell("true", "30 2 * * *")}, timezone="Asia/Tokyo")

    found = json.loads(watched.agent.run("periodic", "next", "job", "--count", "3", "--json"))["next"]

    assert [each["at"][10:] for each in found] == ["T02:30:00+09:00"] * 3


def test_a_mistake_in_a_schedule_stops_the_apply_with_its_place(watched: Watched) -> None:
    """File, line, key and column; also a service, a time zone and an external that are not there."""
    work = {"job": shell("true", "0 0 31 2 *", needs=["nobody"]), "other": shell("true") | {"service": "nobody"}}
    watched.agent.write(
        f"name: demo\ntimezone: Mars/Base\nperiodic: {json.dumps(work)}\nservices:\n{watched.service('web', 0)}"
    )

    said = watched.agent.apply(code=64)

    assert "periodic.job.schedule: column 5: never due" in said
    assert "there is no external 'nobody'" in said
    assert "periodic.other.service: there is no service 'nobody'" in said
    assert "timezone: expected a time zone such as Asia/Tokyo, found 'Mars/Base'" in said


def test_work_that_needs_an_external_that_is_down_is_held_with_the_reason(watched: Watched) -> None:
    """It waits, says for what, and runs when the external is back."""
    flag = watched.folder / "web-1"
    address = f"http://127.0.0.1:{watched.port}/"
    outside = {"url": address, "interval": "1s", "timeout": "1s"}
    web = watched.service("web", 0, checks=[])
    watched.agent.home.parent.joinpath("web-1").write_text("503")
    watched.apply(web, externals={"world": outside}, periodic={"job": shell("true", "every 5s", needs=["world"])})
    assert wait_until(lambda: bool(watched.events("periodic-held")), seconds=30)
    assert "world" in watched.events("periodic-held")[0]["cause"]

    flag.write_text("200")

    assert wait_until(lambda: "ok" in states(watched, "job"), seconds=30)
