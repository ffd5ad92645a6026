"""The queue of notices on disk, and the words of what goes through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.core.notices import digest, event_notice, trial_notice, wants
from agent.model.incident import Notice, NoticeKind
from agent.model.notify import Channel, ChannelType, Severity
from agent.operations.notices import LONGEST_RETRY_SECONDS, Queue
from agent.system.database import Database

NOW = 1_800_000_000.0
AT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """A queue in a file."""
    database = Database(tmp_path / "state.db")
    yield Queue(database)
    database.close()


def notice(number: int, severity: Severity = Severity.P2) -> Notice:
    """Return one of many incidents."""
    made = trial_notice("x", stack="demo", at=AT)
    title = f"trouble {number}"
    return replace(made, key=str(number), kind=NoticeKind.OPENED, severity=severity, title=title)


def test_the_same_notice_is_queued_once_for_each_channel(queue: Queue) -> None:
    """However often it is decided."""
    for channel in ("mail", "hook", "mail"):
        queue.add(notice(1), channel, NOW)
    assert [each.channel for each in queue.waiting()] == ["mail", "hook"]


def test_what_was_refused_waits_longer_each_time_and_never_beyond_the_cap(queue: Queue) -> None:
    """5 s, 10 s, 20 s … 10 min; a clock set back delays nothing."""
    queue.add(notice(1), "hook", NOW)
    waits = []
    for _ in range(12):
        batch = queue.due("hook", NOW)
        queue.refused(batch, "no", NOW, 0.0)
        (row,) = queue.database.query("select next from notices")
        waits.append(float(row[0]) - NOW)
        assert queue.due("hook", NOW) == []
        queue.database.execute("update notices set next = 0")
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert max(waits) == LONGEST_RETRY_SECONDS
    queue.refused(queue.due("hook", NOW), "no", NOW + 86400, 1.0)
    assert len(queue.due("hook", NOW)) == 1


def test_what_went_as_one_counts_once(queue: Queue) -> None:
    """For the channel's limit of an hour."""
    for number in range(5):
        queue.add(notice(number), "hook", NOW)
    queue.delivered(queue.due("hook", NOW)[:1], NOW + 1)
    queue.delivered(queue.due("hook", NOW), NOW + 2)
    assert queue.sent_since("hook", NOW) == 2
    assert queue.due("hook", NOW + 10) == []


def test_a_digest_names_all_and_is_as_grave_as_the_gravest() -> None:
    """Under a key of its own."""
    made = digest([notice(1, Severity.P3), notice(2, Severity.P1), notice(3)])
    assert (made.kind, made.severity, made.key) == (NoticeKind.DIGEST, Severity.P1, "1+3")
    assert all(f"trouble {number}" in made.text for number in (1, 2, 3))


def test_what_waited_for_a_day_and_what_is_beyond_a_thousand_is_given_up_aloud(queue: Queue) -> None:
    """The newest are kept."""
    queue.add(notice(0), "hook", NOW - 90_000)
    with queue.database.transaction():
        for number in range(1, 1004):
            queue.add(notice(number), "hook", NOW)
    lost = queue.give_up(NOW)
    assert {each.notice.key for each in lost} == {"0", "1", "2", "3"}
    assert len(queue.waiting()) == 1000


def test_a_channel_gets_what_is_grave_enough_deploys_where_asked_and_maintenance_always() -> None:
    """By severity, P1 being the gravest."""
    channel = Channel(type=ChannelType.WEBHOOK, url="http://x", least=Severity.P2)
    assert wants(channel, notice(1, Severity.P1))
    assert not wants(channel, notice(1, Severity.P3))
    deploy = replace(notice(1, Severity.P1), kind=NoticeKind.DEPLOY)
    assert not wants(channel, deploy)
    assert wants(replace(channel, deploys=True), deploy)
    assert wants(channel, replace(notice(1, Severity.P4), kind=NoticeKind.MAINTENANCE))


@pytest.mark.parametrize(
    ("kind", "sort", "severity"),
    [
        ("released", NoticeKind.DEPLOY, Severity.P4),
        ("apply-failed", NoticeKind.DEPLOY, Severity.P2),
        ("rolled-back", NoticeKind.DEPLOY, Severity.P3),
        ("periodic-failed", NoticeKind.PERIODIC, Severity.P3),
        ("periodic-missed", NoticeKind.PERIODIC, Severity.P3),
    ],
)
def test_deploys_and_scheduled_work_that_failed_are_told(kind: str, sort: NoticeKind, severity: Severity) -> None:
    """With their cause, and who did it."""
    event: dict[str, Any] = {
        "number": 7, "at": "2026-11-24T00:00:00+00:00", "kind": kind, "service": "periodic.backup",
        "instance": "", "cause": "exit code 2", "detail": "the disk is full", "who": "ana",
    }  # fmt: skip
    made = event_notice(event, stack="demo")
    assert made is not None
    assert (made.kind, made.severity) == (sort, severity)
    assert "exit code 2" in made.title
    assert "by ana" in made.text
    assert event_notice({**event, "kind": "check"}, stack="demo") is None
