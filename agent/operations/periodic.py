"""Scheduled work of a stack: what there is, when it is due, how it is, and carrying one run of it out."""

from __future__ import annotations

import contextlib
import os
import pwd
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.core.periodic import ENDED, PROMPT, PeriodicState, RunState, again_after_interruption, state_of
from agent.core.schedule import next_after, parse
from agent.engine.keeper.processes import TAG_VARIABLE, kill_all, tagged
from agent.errors import AgentError, Busy, CommandFailed, UsageError
from agent.model.desired import DesiredService
from agent.model.periodic import Periodic, Task
from agent.model.settings import Settings
from agent.operations.dump import dump, forget_old_dumps
from agent.operations.events import record
from agent.operations.prepare import command_beside
from agent.operations.runs import SCHEDULE, Known, Run, Runs
from agent.operations.stack import Stack
from agent.render.substitute import substitute, substitute_all
from agent.system.stream import Ending, stream

_TAIL_BYTES = 16384
_KEEP_DUMPS = 7
_BACK_OFF_SECONDS = (1.0, 5.0, 30.0, 60.0)
Show = Callable[[bytes], None]


def zone_of(settings: Settings) -> tzinfo:
    """Return the time zone of every schedule: the one written, else the host's, else UTC."""
    if settings.timezone:
        try:
            return ZoneInfo(settings.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise AgentError(f"timezone: there is no time zone {settings.timezone!r} on this host") from error
    local = Path("/etc/localtime")
    _, found, key = str(local.resolve()).partition("/zoneinfo/")
    with contextlib.suppress(OSError, ValueError, ZoneInfoNotFoundError):
        if found:
            return ZoneInfo(key)
        with local.open("rb") as stream:
            return ZoneInfo.from_file(stream, key="localtime")
    return UTC


def actor() -> str:
    """Return who asks, in a word."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def upcoming(stack: Stack, name: str, *, now: datetime, count: int) -> tuple[datetime, ...]:
    """Return the next moments at which it is due, in the schedules' time zone."""
    zone = zone_of(stack.desired.settings)
    schedule = parse(periodic_of(stack, name).schedule)
    found: list[datetime] = []
    for _ in range(count):
        now = next_after(schedule, now, zone)
        found.append(now.astimezone(zone))
    return tuple(found)


def periodic_of(stack: Stack, name: str) -> Periodic:
    """Return the definition; raise UsageError when there is none of that name."""
    known = stack.desired.settings.periodic
    if name not in known:
        names = ", ".join(known) or "none"
        raise UsageError(f"there is no periodic {name}; periodic: {names}", hint="refnet-agent periodic list")
    return known[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One piece of scheduled work as `list` shows it; `late_since` is the moment nobody acted on."""

    name: str
    periodic: Periodic
    state: PeriodicState
    next: datetime | None
    late_since: datetime | None
    last: Run | None
    paused_by: str | None


def overview(stack: Stack, runs: Runs, *, now: datetime) -> tuple[Overview, ...]:
    """Return all scheduled work, by name."""
    known = runs.known()
    running = {run.name for run in runs.unended() if run.state is RunState.RUNNING and run.is_alive}
    found = []
    for name, periodic in sorted(stack.desired.settings.periodic.items()):
        remembered = known.get(name, Known(name=name, schedule=periodic.schedule, since=now))
        zone = zone_of(stack.desired.settings)
        first = next_after(parse(periodic.schedule), remembered.since, zone)
        is_off = remembered.paused_by is not None or not periodic.enabled
        is_late = not is_off and now - first > 2 * PROMPT
        last = runs.last(name, ENDED - {RunState.SKIPPED, RunState.REPLACED, RunState.CANCELLED})
        found.append(
            Overview(
                name=name,
                periodic=periodic,
                state=state_of(
                    is_paused=is_off,
                    is_running=name in running,
                    is_late=is_late,
                    last=last.state if last else None,
                    last_good=last is not None,
                ),
                next=None if is_off else upcoming(stack, name, now=now, count=1)[0],
                late_since=first if is_late else None,
                last=last,
                paused_by=remembered.paused_by or (None if periodic.enabled else "enabled: false"),
            )
        )
    return tuple(found)


def run_now(stack: Stack, runs: Runs, name: str, *, show: Show, stopped: threading.Event) -> Run:
    """Make one run at once, for whoever asks; raise Busy while another is running."""
    periodic_of(stack, name)
    now = datetime.now(UTC)
    take_up_interrupted(stack, runs, now)
    for run in runs.unended():
        if run.name == name and run.state is RunState.RUNNING:
            hint = f"see: refnet-agent periodic history {name}"
            raise Busy(f"{name} is running already, since {run.started_at:%H:%M:%S} UTC (run {run.id})", hint=hint)
    found = runs.queue(name, actor=actor(), now=now)
    return carry_out(stack, runs, found, show=show, stopped=stopped)


def carry_out(stack: Stack, runs: Runs, number: int, *, show: Show, stopped: threading.Event) -> Run:
    """Carry out a queued run in this process and return it ended; one that another process took stays its."""
    run = runs.find(number)
    if run is None or not runs.claim(number, now=datetime.now(UTC)):
        raise Busy(f"run {number} is not queued: another process carries it out")
    periodic = periodic_of(stack, run.name)
    execution = Execution(stack, periodic, tag=runs.tag(number), show=show, stopped=stopped)
    tell(stack, run, "started", detail=f"by {run.actor}")
    try:
        state, detail = execution.run()
    except BaseException as error:
        # Whatever went wrong is this run's end, not a row that runs for ever.
        runs.finish(number, RunState.FAILED, now=datetime.now(UTC), code=None, output=execution.tail, detail=str(error))
        raise
    finally:
        kill_all(tagged(runs.tag(number)))
    asked = (runs.find(number) or run).asked
    if state is RunState.CANCELLED and asked:
        state, detail = RunState.REPLACED, asked
    runs.finish(number, state, now=datetime.now(UTC), code=execution.code, output=execution.tail, detail=detail)
    ended = runs.find(number)
    if ended is None:
        raise AgentError(f"run {number} of {run.name} has vanished from {stack.home.database}")
    kind = "ok" if state is RunState.OK else "failed" if state in {RunState.FAILED, RunState.TIMED_OUT} else str(state)
    lines = "" if state is RunState.OK else "\n".join(execution.tail.strip().splitlines()[-20:])
    took = f"{ended.seconds or 0:.1f} s"
    tell(stack, ended, kind, cause=ended.detail or took, detail=lines)
    return ended


def take_up_interrupted(stack: Stack, runs: Runs, now: datetime) -> None:
    """Find the runs whose process is gone, and queue again those that the policy wants made."""
    for run in runs.mark_interrupted(now):
        periodic = stack.desired.settings.periodic.get(run.name)
        again = periodic is not None and again_after_interruption(
            catch_up=periodic.catch_up,
            attempt=run.attempt,
            retries=periodic.retries,
            by_schedule=run.actor == SCHEDULE,
        )
        what = "it is run again" if again else "it is not run again"
        tell(stack, run, "interrupted", cause=f"run {run.id} ended with its process; {what}")
        if again:
            runs.queue(run.name, actor=run.actor, now=now, again=run)


def tell(stack: Stack, run: Run, kind: str, *, cause: str = "", detail: str = "") -> None:
    """Record an event about a run: `periodic-started`, `-ok`, `-failed`, `-missed`, `-skipped`, `-interrupted` …"""
    record(stack.home.events, kind=f"periodic-{kind}", service=f"periodic.{run.name}", cause=cause, detail=detail)


class Execution:
    """One run being carried out: its deadline, its output, and the processes that are its."""

    def __init__(self, stack: Stack, periodic: Periodic, *, tag: str, show: Show, stopped: threading.Event) -> None:
        self._stack = stack
        self._periodic = periodic
        self._tag = tag
        self._show = show
        self._stopped = stopped
        self._deadline = 0.0
        self._output = b""
        self.code: int | None = None

    @property
    def tail(self) -> str:
        """The last of what it printed."""
        return self._output.decode(errors="replace")

    def run(self) -> tuple[RunState, str]:
        """Try as often as the definition allows; return how it ended and why, in words."""
        state, detail = RunState.FAILED, ""
        for attempt in range(1 + max(self._periodic.retries, 0)):
            if attempt:
                pause = _BACK_OFF_SECONDS[min(attempt - 1, len(_BACK_OFF_SECONDS) - 1)]
                self._say(f"attempt {attempt} failed: {detail}; again in {pause:g} s\n")
                if self._stopped.wait(pause):
                    return RunState.CANCELLED, "told to end between two attempts"
            state, detail = self._once()
            if state in {RunState.OK, RunState.CANCELLED}:
                break
            kill_all(tagged(self._tag))
        return state, detail

    def _once(self) -> tuple[RunState, str]:
        self._deadline = time.monotonic() + self._periodic.timeout.total_seconds()
        try:
            match self._periodic.task:
                case Task.BACKUP:
                    self._back_up()
                case Task.CRAWL | Task.COMMAND:
                    service, command = command_of(self._stack, self._periodic)
                    where = "periodic.command"
                    self._command(service, substitute_all(command, self._stack.variables(service), where=where))
        except _Ended as ended:
            return ended.state, ended.detail
        except AgentError as error:
            self._say(f"{error.message}\n")
            return RunState.FAILED, error.message.splitlines()[0]
        return RunState.OK, ""

    def _back_up(self) -> None:
        names = (self._periodic.service,) if self._periodic.service else backed_up(self._stack)
        if not names:
            raise AgentError("no service says how it is backed up (`dump`)", hint="add postgres, or a `dump`")
        for name in names:
            target = dump(self._stack, name, run=lambda _, service, command, seconds: self._command(service, command))
            if target is None:
                raise AgentError(f"{name} does not say how it is backed up (`dump`)")
            self._say(f"{name}: {target} verified, {target.stat().st_size} bytes\n")
            for old in forget_old_dumps(self._stack, name, keep=_KEEP_DUMPS):
                self._say(f"{name}: {old} removed, {_KEEP_DUMPS} newer ones are kept\n")

    def _command(self, service: DesiredService, command: tuple[str, ...]) -> None:
        beside = command_beside(self._stack, service, command)
        where = "periodic.env"
        values = self._stack.variables(service)
        more = {name: substitute(text, values, where=where) for name, text in self._periodic.env.items()}
        self.code, ending = stream(
            beside.command,
            environment={**beside.environment, **more, TAG_VARIABLE: self._tag},
            directory=beside.directory,
            user=beside.user,
            output=self._take,
            timeout=self._deadline - time.monotonic(),
            stopped=self._stopped,
        )
        match ending:
            case Ending.TIMEOUT:
                raise _Ended(RunState.TIMED_OUT, f"took longer than {self._periodic.timeout}")
            case Ending.STOPPED:
                raise _Ended(RunState.CANCELLED, "told to end")
            case Ending.ITSELF if self.code < 0:
                raise CommandFailed(f"{command[0]} was ended by signal {-self.code}")
            case Ending.ITSELF if self.code > 0:
                raise CommandFailed(f"{command[0]} ended with exit code {self.code}")
            case Ending.ITSELF:
                pass

    def _say(self, text: str) -> None:
        self._take(text.encode())

    def _take(self, chunk: bytes) -> None:
        self._output = (self._output + chunk)[-_TAIL_BYTES:]
        self._show(chunk)


class _Ended(Exception):
    def __init__(self, state: RunState, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


def backed_up(stack: Stack) -> tuple[str, ...]:
    """Return the services that say how they are backed up and run here."""
    return tuple(each.name for each in stack.desired.services if each.service.dump is not None and each.launches)


def command_of(stack: Stack, periodic: Periodic) -> tuple[DesiredService, tuple[str, ...]]:
    """Return the service a piece of work runs beside, and its command; raise AgentError when there is none."""
    task = str(periodic.task)
    names: Iterable[str] = (periodic.service,) if periodic.service else providers(stack.desired.settings, task)
    for name in names:
        service = stack.desired.find(name)
        command = periodic.command or (service.service.tasks.get(task, ()) if service else ())
        if service is not None and service.launches and command:
            return service, command
    raise AgentError(f"no service on this host has a command for the task {task}", hint="name `service` and `command`")


def providers(settings: Settings, task: str) -> tuple[str, ...]:
    """Return the services whose definition has a command for the task."""
    return tuple(name for name, service in settings.services.items() if task in service.tasks)
