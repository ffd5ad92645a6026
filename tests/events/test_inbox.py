"""Every event reaches the history once: over rotation, torn lines, several readers and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from agent.engine.keeper.record import append_event
from agent.model.home import Home
from agent.operations.events import record
from agent.operations.history import History, Wanted
from agent.operations.inbox import Inbox
from agent.system.database import Database

ROOT = Path(__file__).parent.parent.parent

APPENDER = """
import sys, pathlib
from agent.operations.events import record
for number in range(int(sys.argv[3])):
    record(pathlib.Path(sys.argv[1]), kind="mark", service=sys.argv[2], cause=str(number), detail="x" * 400)
"""

READER = """
import sys, pathlib
from agent.operations.inbox import Inbox
from agent.system.database import Database
inbox = Inbox(Database(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]), rotate_bytes=50_000)
while True:
    inbox.ingest()
"""


def started(script: str, *words: object) -> subprocess.Popen[bytes]:
    """Start a Python script with the package at hand."""
    return subprocess.Popen(
        (sys.executable, "-c", script, *map(str, words)), env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


def test_nothing_is_lost_or_doubled_while_readers_are_killed_and_the_inbox_rotates(tmp_path: Path) -> None:
    """Four processes append 400 events each, the reader is killed with SIGKILL again and again."""
    home = Home(root=tmp_path)
    Database(home.database).close()
    older = tmp_path / "events.jsonl.1"
    writers = [started(APPENDER, home.events, f"s{number}", 400) for number in range(4)]
    kills = 0
    while any(writer.poll() is None for writer in writers) or kills < 8:
        reader = started(READER, home.database, home.events)
        time.sleep(0.25)
        if older.exists():
            os.utime(older, (0, 0))  # as if a minute had gone by, so that it may rotate again
        time.sleep(0.15)
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        kills += 1

    events = History(home, Database(home.database)).read(Wanted(kinds=["mark"]))

    assert older.exists()
    assert sorted((each["service"], int(each["cause"])) for each in events) == sorted(
        (f"s{number}", count) for number in range(4) for count in range(400)
    )


def test_two_readers_at_once_take_each_event_once(tmp_path: Path) -> None:
    """The daemon and `events --follow` ingest side by side."""
    home = Home(root=tmp_path)
    one, other = (Inbox(Database(home.database), home.events) for _ in range(2))
    for number in range(50):
        record(home.events, kind="mark", cause=str(number))

    assert sorted((one.ingest(), other.ingest())) == [0, 50]


def test_what_is_written_to_the_renamed_file_by_a_slow_writer_is_not_lost(tmp_path: Path) -> None:
    """A keeper may have opened the inbox just before it was renamed."""
    home = Home(root=tmp_path)
    inbox = Inbox(Database(home.database), home.events, rotate_bytes=10)
    record(home.events, kind="mark", cause="first")
    slow = home.events.open("ab", buffering=0)
    inbox.ingest()
    assert not home.events.exists()

    slow.write(json.dumps({"at": "2026-01-01T00:00:00+00:00", "kind": "mark", "cause": "late"}).encode() + b"\n")
    record(home.events, kind="mark", cause="next")

    causes = [each["cause"] for each in History(home, Database(home.database)).read(Wanted())]
    assert causes == ["first", "late", "next"]


def test_a_torn_line_costs_only_itself_and_a_begun_one_is_waited_for(tmp_path: Path) -> None:
    """A disk that was full leaves half a line in front of a whole one."""
    home = Home(root=tmp_path)
    history = History(home, Database(home.database))
    record(home.events, kind="mark", cause="one")
    with home.events.open("ab") as stream:
        stream.write(b'{"at": "2026-01-01", "kind": "to')
    record(home.events, kind="mark", cause="two")
    with home.events.open("ab") as stream:
        stream.write(b'{"at": "2026-01-01", "kind": "mark", ')
    assert [each["cause"] for each in history.read(Wanted())] == ["one", "two"]

    with home.events.open("ab") as stream:
        stream.write(b'"cause": "three"}\n')

    assert [each["cause"] for each in history.read(Wanted())] == ["one", "two", "three"]


def test_a_keepers_details_stay_structured_and_say_which_attempt_it_was(tmp_path: Path) -> None:
    """The keeper writes a dictionary; attempt, of and the next delay are also keys of the event."""
    home = Home(root=tmp_path)
    detail = {"attempt": 3, "of": 10, "delay": 0.4}
    event = {"at": "2026-11-24T10:00:00+00:00", "service": "web", "instance": "web-1", "kind": "backoff", "cause": "c"}
    append_event(str(home.events), {**event, "detail": detail})

    (found,) = History(home, Database(home.database)).read(Wanted())

    assert found["detail"] == detail
    assert (found["attempt"], found["of"], found["next_delay"], found["who"]) == (3, 10, 0.4, "keeper")


def test_an_event_names_the_one_that_caused_it(tmp_path: Path) -> None:
    """From the new process back to the check, through three processes' events."""
    home = Home(root=tmp_path)

    def tell(kind: str, cause: str) -> None:
        record(home.events, kind=kind, service="web", instance="web-1", cause=cause)

    tell("check", "health: passing → critical")
    record(home.events, kind="exited", service="other", instance="other-1", cause="running")
    tell("unhealthy", "check health failed for 3 s")
    tell("stopping", "check health failed for 3 s")
    tell("exited", "stopping")
    tell("restarted", "failure 1 of 10 in 600 s")

    events = {each["number"]: each for each in History(home, Database(home.database)).read(Wanted())}
    chain, at = [], events[max(events)]
    while at["because"]:
        at = events[at["because"]]
        chain.append(at["kind"])

    assert chain == ["exited", "stopping", "unhealthy", "check"]
    assert all(each["instance"] == "web-1" for each in events.values() if each["because"])


def test_what_is_older_than_the_settings_say_is_forgotten(tmp_path: Path) -> None:
    """90 days is the default of daemon.events_days."""
    home = Home(root=tmp_path)
    append_event(str(home.events), {"at": "2020-01-01T00:00:00+00:00", "kind": "mark", "cause": "old", "detail": {}})
    record(home.events, kind="mark", cause="new")
    history = History(home, Database(home.database))
    history.inbox.ingest()

    assert history.forget(days=90) == 1
    assert [each["cause"] for each in history.read(Wanted())] == ["new"]
