"""An engine in memory for tests: it keeps the protocol, runs nothing, and time stands still unless told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from agent.core import restarts
from agent.engine.base import Capabilities
from agent.errors import EngineFailed
from agent.model.instance import Exit, InstanceState, Launch, LogLine, ObservedInstance

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_PID = 1000
RUNS = (InstanceState.STARTING, InstanceState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRun:
    """What an instance does when it is started: says some lines, then ends, or runs on when `exit` is None."""

    lines: tuple[str, ...] = ()
    exit: Exit | None = None


@dataclass(slots=True, kw_only=True)
class _FakeInstance:
    launch: Launch
    seen: ObservedInstance
    failures: list[float] = field(default_factory=list)


class FakeEngine:
    """Deterministic: pids count up, each instance behaves as `behaviours` says, `calls` records the verbs."""

    def __init__(
        self, behaviours: dict[str, FakeRun] | None = None, *, clock: Callable[[], datetime] = lambda: BEGINNING
    ) -> None:
        self.behaviours = behaviours or {}
        self.calls: list[tuple[str, str]] = []
        self._clock = clock
        self._instances: dict[str, _FakeInstance] = {}
        self._logs: dict[str, list[LogLine]] = {}
        self._next_pid = FIRST_PID

    def capabilities(self) -> Capabilities:
        """Return that nothing is limited and nothing survives."""
        return Capabilities(name="fake", survives_reboot=False, containers=False, limits_by="none")

    def observe(self, service: str | None = None) -> tuple[ObservedInstance, ...]:
        """Return every instance, or only the service's, by name."""
        every = (self._instances[name].seen for name in sorted(self._instances))
        return tuple(each for each in every if service in (None, each.service))

    def start(self, launch: Launch) -> None:
        """Start the instance unless it runs with the same digest."""
        self.calls.append(("start", launch.instance))
        known = self._instances.get(launch.instance)
        if known is not None and known.seen.state in RUNS and known.seen.digest == launch.digest:
            return
        state = InstanceState.STARTING
        seen = ObservedInstance(instance=launch.instance, service=launch.service, state=state)
        self._instances[launch.instance] = _FakeInstance(launch=launch, seen=seen)
        self._run(launch.instance, restarts_so_far=0)

    def stop(self, instance: str, *, cause: str) -> None:
        """Stop it; the record stays."""
        self.calls.append(("stop", instance))
        known = self._instances.get(instance)
        if known is not None and known.seen.state in (*RUNS, InstanceState.BACKOFF):
            last_exit = Exit(signal=15, at=self._clock()) if known.seen.pid else known.seen.last_exit
            known.seen = replace(known.seen, state=InstanceState.STOPPED, pid=None, ready=False, last_exit=last_exit)

    def restart(self, instance: str, *, cause: str) -> None:
        """Give it a new pid."""
        self.calls.append(("restart", instance))
        self._run(instance, restarts_so_far=self._require(instance).seen.restarts)

    def fail(self, instance: str, *, cause: str) -> None:
        """End the running process; its policy says what follows."""
        self.calls.append(("fail", instance))
        known = self._require(instance)
        if known.seen.pid is not None:
            self._ended(known, Exit(signal=15, at=self._clock()))

    def update(self, launch: Launch, *, reload: bool) -> None:
        """Take over the fingerprint."""
        self.calls.append(("reload" if reload else "update", launch.instance))
        known = self._require(launch.instance)
        if reload and launch.reload_signal is None:
            raise EngineFailed(f"{launch.instance} has no reload signal")
        known.launch = launch
        known.seen = replace(known.seen, digest=launch.digest, fields=launch.fields, files=launch.files)

    def remove(self, instance: str) -> None:
        """Forget it; its logs stay in memory."""
        self.calls.append(("remove", instance))
        self._instances.pop(instance, None)

    def logs(self, instance: str, *, lines: int | None, since: datetime | None, follow: bool) -> Iterator[LogLine]:
        """Yield what it said; nothing new ever comes to be followed."""
        self._require(instance)
        wanted = [line for line in self._logs.get(instance, []) if since is None or line.at >= since]
        return iter(wanted if lines is None else wanted[len(wanted) - min(lines, len(wanted)) :])

    def run_once(self, launch: Launch, *, timeout: float) -> Exit:
        """Return the end that its behaviour says; one without an end is killed at once."""
        self.start(launch)
        last_exit = self._instances[launch.instance].seen.last_exit
        self.remove(launch.instance)
        return last_exit or Exit(signal=9, at=self._clock())

    def end(self, instance: str, how: Exit) -> None:
        """Let the running process end this way, as a crash would."""
        known = self._require(instance)
        self._ended(known, how)

    def _require(self, instance: str) -> _FakeInstance:
        if instance not in self._instances:
            raise EngineFailed(f"{instance}: the instance is not known here")
        return self._instances[instance]

    def _run(self, instance: str, *, restarts_so_far: int) -> None:
        known = self._instances[instance]
        launch, now = known.launch, self._clock()
        behaviour = self.behaviours.get(instance, FakeRun())
        self._next_pid += 1
        self._logs.setdefault(instance, []).extend(
            LogLine(at=now, instance=instance, text=text) for text in behaviour.lines
        )
        known.seen = replace(
            known.seen,
            state=InstanceState.RUNNING,
            pid=self._next_pid,
            address=launch.address,
            ready=launch.ready_line is None or any(launch.ready_line in text for text in behaviour.lines),
            restarts=restarts_so_far,
            started_at=now,
            keeper_pid=1,
            digest=launch.digest,
            fields=launch.fields,
            files=launch.files,
        )
        if behaviour.exit is not None:
            self._ended(known, behaviour.exit)

    def _ended(self, known: _FakeInstance, how: Exit) -> None:
        launch, now = known.launch, self._clock().timestamp()
        known.seen = replace(known.seen, pid=None, ready=False, last_exit=how)
        if launch.oneshot:
            good = how.code in launch.success_exit_codes
            known.seen = replace(known.seen, state=InstanceState.COMPLETE if good else InstanceState.FAILED)
            return
        policy = launch.restart
        verdict, seconds, _ = restarts.decide(
            attempts=policy.attempts,
            interval=policy.interval,
            delay=policy.delay,
            mode=policy.mode,
            failures=known.failures,
            ran=0.0,
            quick_exits=len(known.failures),
            by_signal=how.signal is not None,
            now=now,
        )
        known.failures.append(now)
        if verdict == restarts.GIVE_UP:
            known.seen = replace(known.seen, state=InstanceState.FAILED)
        elif verdict == restarts.WAIT or seconds > 0:
            known.seen = replace(known.seen, state=InstanceState.BACKOFF, restarts=known.seen.restarts + 1)
        else:
            self._run(launch.instance, restarts_so_far=known.seen.restarts + 1)
