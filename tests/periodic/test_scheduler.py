"""The daemon's scheduler with a clock of the test's: nights, jumps of the clock, daemons that come and go."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.core.periodic import RunState
from agent.daemon.schedule import Scheduler
from agent.model.desired import Desired
from agent.model.home import Home
from agent.model.periodic import CatchUp, Overlap, Periodic
from agent.model.settings import Settings
from agent.operations.runs import SCHEDULE, Run, Runs
from agent.system.database import Database

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Host:
    """A home with its database, a clock, and runs that end at once; `scheduler()` is a new daemon's."""

    def __init__(self, folder: Path, **periodic: Periodic) -> None:
        self.now = START
        self.home = Home(root=folder)
        self.database = Database(self.home.database)
        self.runs = Runs(self.home, self.database)
        settings = Settings(name="demo", timezone="Europe/Berlin", periodic=periodic)
        stack = SimpleNamespace(home=self.home, desired=Desired(settings=settings))
        externals = SimpleNamespace(down=dict)
        self.events: list[str] = []
        self.daemon = SimpleNamespace(stack=stack, externals=externals, tell=self.tell)
        self.ends_at_once = True

    def tell(self, kind: str, **_: object) -> None:
        """Remember an event."""
        self.events.append(kind)

    def spawn(self, _: Home, run: Run) -> subprocess.Popen[bytes]:
        """Carry a run out in no time."""
        if self.ends_at_once:
            assert self.runs.claim(run.id, now=self.now)
            self.runs.finish(run.id, RunState.OK, now=self.now, code=0, output="", detail="")
        return cast("subprocess.Popen[bytes]", SimpleNamespace(poll=lambda: 0, returncode=0))

    def scheduler(self) -> Scheduler:
        """Return the scheduler of a daemon that starts now."""
        found = Scheduler(cast("Any", self.daemon), self.runs, clock=lambda: self.now, spawn=self.spawn)
        found.follow()
        found.look()
        return found

    def nights(self) -> list[str]:
        """Return the local days of the runs that were made, oldest first."""
        made = self.runs.history(limit=1000)
        return [f"{run.due:%m-%d}" for run in reversed(made) if run.due and run.state is RunState.OK]


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """APScheduler's asyncio scheduler wants a loop to exist."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    yield
    asyncio.get_event_loop().close()


def nightly(**more: Any) -> Periodic:
    """Return work due at 02:30 in Berlin."""
    return Periodic(schedule="30 2 * * *", **more)


def test_every_night_of_a_year_is_run_once_with_a_new_daemon_each_week(tmp_path: Path) -> None:
    """Both changes of the clock are in it; a daemon that is replaced at any moment neither loses nor doubles one."""
    host = Host(tmp_path, backup=nightly())
    scheduler = host.scheduler()
    for hour in range(365 * 24 // 3):
        host.now = START + timedelta(hours=3 * hour, minutes=hour % 50)
        if hour % 56 == 0:
            scheduler = host.scheduler()
        scheduler.look()

    total = host.runs.totals()
    assert total == {("backup", "ok"): 365}


def test_a_clock_a_day_ahead_and_back_loses_no_night(tmp_path: Path) -> None:
    """Ahead: one run makes up. Back: the next real night is run as well."""
    host = Host(tmp_path, backup=nightly())
    scheduler = host.scheduler()

    host.now = START + DAY
    scheduler.look()
    assert host.nights() == ["03-02"]
    host.now = START + timedelta(minutes=5)
    scheduler.look()
    host.now = datetime(2026, 3, 2, 1, 30, 1, tzinfo=UTC)
    scheduler.look()

    assert host.nights() == ["03-02", "03-02"]


def test_a_clock_set_back_by_an_hour_doubles_nothing(tmp_path: Path) -> None:
    """Just after the run, as a time server would."""
    host = Host(tmp_path, backup=nightly())
    scheduler = host.scheduler()
    for minutes in (0, -60, -1, 0, 1, 60):
        host.now = datetime(2026, 3, 2, 1, 30, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        scheduler.look()

    assert len(host.nights()) == 1


def test_three_nights_without_a_daemon_are_handled_by_policy(tmp_path: Path) -> None:
    """Once: the newest. Skip: none, and it is said. All: each."""
    host = Host(
        tmp_path,
        once=nightly(),
        skip=nightly(catch_up=CatchUp.SKIP),
        all=nightly(catch_up=CatchUp.ALL, overlap=Overlap.QUEUE),
    )
    host.scheduler()

    host.now = START + 3 * DAY
    scheduler = host.scheduler()
    for _ in range(3):
        scheduler.look()

    assert host.runs.totals() == {("once", "ok"): 1, ("skip", "missed"): 3, ("all", "ok"): 3}
    assert host.events == ["periodic-missed"]
    assert host.runs.history("once")[0].is_catch_up


def test_a_run_that_was_queued_when_the_daemon_died_is_started_by_the_next(tmp_path: Path) -> None:
    """The row was there before the process."""
    host = Host(tmp_path, backup=nightly())
    host.scheduler()
    host.ends_at_once = False
    host.now = datetime(2026, 3, 2, 1, 30, 1, tzinfo=UTC)
    host.scheduler()
    assert [run.state for run in host.runs.history()] == [RunState.QUEUED]

    host.ends_at_once = True
    host.scheduler()

    assert host.nights() == ["03-02"]


def test_a_new_schedule_begins_now_and_what_left_the_release_is_not_run(tmp_path: Path) -> None:
    """A changed schedule catches nothing up; a queued run of removed work is given up."""
    host = Host(tmp_path, backup=nightly())
    scheduler = host.scheduler()
    host.runs.queue("gone", actor=SCHEDULE, now=host.now)
    settings = Settings(name="demo", periodic={"backup": Periodic(schedule="0 * * * *")})
    host.daemon.stack.desired = Desired(settings=settings)
    host.now = START + timedelta(minutes=30)

    scheduler.follow()
    scheduler.look()

    assert host.nights() == []
    assert [(run.name, run.state) for run in host.runs.history()] == [("gone", RunState.SKIPPED)]
