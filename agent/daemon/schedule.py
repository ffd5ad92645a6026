"""Fire scheduled work: APScheduler wakes us at each moment, the database says what was decided, a run is a process.

Each run is a process of its own (`periodic run`), so that killing or upgrading the daemon ends none of them.
APScheduler keeps nothing: its jobs are made from the newest release, and whatever it misses (a clock that jumped, a
machine that slept, a daemon that was not there) is found by asking which moments since the last decision have passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

import agent
from agent.core.periodic import PROMPT, RunState, decide
from agent.core.schedule import Schedule, next_after, parse
from agent.engine.keeper.processes import send_signal
from agent.errors import AgentError
from agent.model.home import Home
from agent.model.periodic import Overlap, Periodic
from agent.model.settings import Settings
from agent.operations.periodic import take_up_interrupted, tell, zone_of
from agent.operations.runs import SCHEDULE, Known, Run, Runs

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

_LOOK_SECONDS = 1.0
_JUMP_SECONDS = 2.0
Clock = Callable[[], datetime]
Spawn = Callable[[Home, Run], "subprocess.Popen[bytes]"]


class Due(BaseTrigger):  # type: ignore[misc]
    """Our own schedules as APScheduler asks for them."""

    def __init__(self, schedule: Schedule, zone: tzinfo) -> None:
        self._schedule = schedule
        self._zone = zone

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the next moment it is due."""
        return next_after(self._schedule, max(previous_fire_time or now, now), self._zone)


class Scheduler:
    """One scheduler a home: it lives in the daemon, which holds the home's daemon lock."""

    def __init__(
        self, daemon: Daemon, runs: Runs, *, clock: Clock = lambda: datetime.now(UTC), spawn: Spawn | None = None
    ) -> None:
        self._daemon = daemon
        self._runs = runs
        self._clock = clock
        self._spawn = spawn or start_run
        self._alarm = AsyncIOScheduler(timezone=UTC)
        self._wake = asyncio.Event()
        self._settings: Settings | None = None
        self._schedules: dict[str, Schedule] = {}
        self._zone: tzinfo = UTC
        self._next: dict[str, tuple[datetime, datetime]] = {}
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        self._held: dict[int, str] = {}
        self._trouble = ""
        self._offset = time.time() - time.monotonic()

    async def run(self) -> None:
        """Fire until cancelled; no run ends with us."""
        self._alarm.start()
        try:
            while True:
                self._wake.clear()
                try:
                    self.follow()
                    self._mind_the_clock()
                    await asyncio.to_thread(self.look)
                    self._trouble = ""
                except (AgentError, OSError) as error:
                    if str(error) != self._trouble:
                        self._trouble = str(error)
                        self._daemon.tell("daemon-trouble", cause=f"scheduled work: {self._trouble}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _LOOK_SECONDS)
        finally:
            self._alarm.shutdown(wait=False)

    def look(self) -> None:
        """Do one turn: find what was cut off, decide on what is due, start what is queued."""
        now = self._clock()
        settings = self._settings
        if settings is None:
            return
        for number in [number for number, process in self._started.items() if process.poll() is not None]:
            self._look_after(number, self._started.pop(number), now)
        take_up_interrupted(self._daemon.stack, self._runs, now)
        known = self._runs.follow_if_changed({name: each.schedule for name, each in settings.periodic.items()}, now)
        for name, periodic in settings.periodic.items():
            remembered = known[name]
            if periodic.enabled and remembered.paused_by is None:
                self._decide(name, periodic, remembered, now)
        self._start_queued(settings, now)

    def follow(self) -> None:
        """Take over the scheduled work of the newest release."""
        settings = self._daemon.stack.desired.settings
        if settings is self._settings:
            return
        zone = zone_of(settings)
        self._alarm.remove_all_jobs()
        self._schedules = {name: parse(each.schedule) for name, each in settings.periodic.items()}
        self._zone, self._settings, self._next = zone, settings, {}
        for name, schedule in self._schedules.items():
            trigger = Due(schedule, zone)
            self._alarm.add_job(self._wake.set, trigger, id=name, misfire_grace_time=None, coalesce=True)

    def _mind_the_clock(self) -> None:
        """Notice that wall time and elapsed time have parted: the clock was set, or the machine slept."""
        offset = time.time() - time.monotonic()
        jumped, self._offset = offset - self._offset, offset
        if abs(jumped) > _JUMP_SECONDS:
            self._daemon.tell("clock-jumped", cause=f"by {jumped:+.0f} s; schedules follow the new time")
            self._settings = None
            self.follow()

    def _decide(self, name: str, periodic: Periodic, known: Known, now: datetime) -> None:
        since, upcoming = self._next.get(name, (None, now))
        if since != known.since:
            upcoming = next_after(self._schedules[name], known.since, self._zone)
            self._next[name] = (known.since, upcoming)
        if upcoming > now and known.since <= now:
            return
        decision = decide(self._schedules[name], known.since, now, self._zone, periodic.catch_up)
        if decision.since == known.since:
            return
        self._runs.take_decision(name, decision, now)
        if decision.missed:
            first, last = decision.missed[0], decision.missed[-1]
            count = len(decision.missed)
            cause = f"{count} missed, {first.isoformat()} to {last.isoformat()}: nobody was there to start it"
            self._daemon.tell("periodic-missed", service=f"periodic.{name}", cause=cause)

    def _start_queued(self, settings: Settings, now: datetime) -> None:
        unended = self._runs.unended()
        busy = {run.name: run for run in unended if run.state is RunState.RUNNING}
        starting = {run.name for run in unended if run.id in self._started and run.state is RunState.QUEUED}
        for run in unended:
            periodic = settings.periodic.get(run.name)
            if run.state is not RunState.QUEUED or run.id in self._started:
                continue
            if run.actor != SCHEDULE:
                # Whoever asked for it by hand carries it out, at once.
                if now - run.queued_at > PROMPT:
                    self._runs.skip(run.id, f"{run.actor} left before it began", now=now)
            elif periodic is None:
                self._runs.skip(run.id, "it is in the release no more", now=now)
            elif run.name in starting or self._is_held(run, periodic):
                continue
            elif run.name in busy:
                self._overlap(run, periodic, busy[run.name], unended, now)
            else:
                self._started[run.id] = self._spawn(self._daemon.stack.home, run)
                starting.add(run.name)

    def _overlap(self, run: Run, periodic: Periodic, busy: Run, unended: tuple[Run, ...], now: datetime) -> None:
        waiting = [each for each in unended if each.name == run.name and each.state is RunState.QUEUED]
        why = f"run {busy.id} had not ended"
        match periodic.overlap:
            case _ if run.is_catch_up:
                return
            case Overlap.FORBID:
                self._skip(run, why, now)
            case Overlap.QUEUE:
                if waiting[0].id != run.id:
                    self._skip(run, f"{why}, and run {waiting[0].id} waits already", now)
            case Overlap.REPLACE:
                if not busy.asked and busy.pid is not None:
                    self._runs.ask_to_end(busy.id, f"replaced by run {run.id}")
                    send_signal(busy.pid, busy.ticks or 0, signal.SIGTERM)

    def _skip(self, run: Run, why: str, now: datetime) -> None:
        self._runs.skip(run.id, why, now=now)
        tell(self._daemon.stack, run, "skipped", cause=why)

    def _is_held(self, run: Run, periodic: Periodic) -> bool:
        """Whether what it needs from outside is down; said once for each run."""
        down = {name: why for name, why in self._daemon.externals.down().items() if name in periodic.needs}
        if not down:
            self._held.pop(run.id, None)
            return False
        if run.id not in self._held:
            self._held[run.id] = ", ".join(f"{name} ({why})" for name, why in down.items())
            tell(self._daemon.stack, run, "held", cause=f"waits for {self._held[run.id]}")
        return True

    def _look_after(self, number: int, process: subprocess.Popen[Any], now: datetime) -> None:
        run = self._runs.find(number)
        if run is not None and run.state is RunState.QUEUED:
            why = f"its process ended with {process.returncode} before it began; try: periodic run {run.name}"
            self._runs.finish(number, RunState.FAILED, now=now, code=process.returncode, output="", detail=why)
            tell(self._daemon.stack, run, "failed", cause=why)


def start_run(home: Home, run: Run) -> subprocess.Popen[bytes]:
    """Start the process that carries out a queued run; it outlives us."""
    program = "import sys; from agent.cli.main import main; sys.exit(main())"
    words = ("periodic", "--home", str(home.root), "run", run.name, "--queued", str(run.id))
    environment = {
        "PYTHONPATH": str(Path(agent.__file__).parent.parent),
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
    }
    return subprocess.Popen(
        (sys.executable, "-c", program, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
