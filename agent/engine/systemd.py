"""The systemd engine: one unit an instance, restarted by systemd itself, its output in the journal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.engine import journal
from agent.engine.base import Capabilities
from agent.engine.keeper import cgroups, processes, record
from agent.engine.systemctl import Systemctl
from agent.engine.unit_files import UnitFiles
from agent.engine.unit_state import (
    PROPERTIES,
    exit_of,
    moment,
    read_exit,
    restarts_of,
    state_of,
    waits_for_window,
    window_is_over,
)
from agent.errors import EngineFailed
from agent.model.home import Home
from agent.model.instance import Exit, InstanceState, Launch, LogLine, ObservedInstance
from agent.system.command import find_binary, run

_DOCKER_SECONDS = 60.0
_MANAGER_PID = 1
_MORE_THAN_STOP = 30.0
_POLL_EVERY = 0.05
_SOON = 1.0
_LIVE = frozenset({InstanceState.STARTING, InstanceState.RUNNING, InstanceState.BACKOFF, InstanceState.STOPPING})


class SystemdEngine:
    """Runs each instance as a unit of `systemctl`; `render` gives a unit's text for a launch."""

    def __init__(self, home: Path, *, systemctl: Systemctl, render: Callable[[Launch], str]) -> None:
        self.home = Home(root=home.resolve())
        self.units = UnitFiles(home=self.home, directory=systemctl.directory, target=systemctl.target)
        self._systemctl = systemctl
        self._render = render
        self._said_ready: set[str] = set()

    def capabilities(self) -> Capabilities:
        """Return what units can do here; a user's own manager ends with the last login unless it lingers."""
        limits_by = cgroups.version(cgroups.hierarchies())
        containers = find_binary("docker") is not None
        survives = self._systemctl.lingers
        return Capabilities(name="systemd", survives_reboot=survives, containers=containers, limits_by=limits_by)

    # -- verbs --------------------------------------------------------------------------------

    def start(self, launch: Launch) -> None:
        """Start the instance, let it be when it runs with the same digest, or replace it."""
        known = self._known(launch.instance)
        if known is not None and known.state in _LIVE:
            same = known.digest == launch.digest and known.state is not InstanceState.STOPPING
            if same and known.keeper_alive:
                return
            if not same:
                self.stop(launch.instance, cause="replaced by a new start")
        self._write(launch)
        self._bring_up(launch)

    def stop(self, instance: str, *, cause: str) -> None:
        """Stop the whole tree; it stays down at the next boot."""
        known = self._known(instance)
        if known is None or known.state not in _LIVE:
            return
        self._tell("stopping", known, cause)
        self._end(instance)

    def restart(self, instance: str, *, cause: str) -> None:
        """Stop and start again at once; one that had ended is started."""
        launch = self._require(instance)
        if (known := self._known(instance)) is not None:
            self._tell("restarting", known, cause)
        self.units.write_environment(launch)
        self.units.enable(instance)
        self._bring_up(launch)

    def fail(self, instance: str, *, cause: str) -> None:
        """Send its own stop signal: systemd counts any end it did not ask for; a deaf process is killed later."""
        known = self._known(instance)
        if known is None or known.pid is None:
            return
        launch, unit = self._require(instance), self.units.name(instance)
        self._tell("stopping", known, cause)
        self._systemctl.call("kill", "--kill-who=main", f"--signal={launch.stop_signal}", unit, check=False)
        end = time.monotonic() + min(_SOON, launch.stop_timeout)
        while time.monotonic() < end:
            if (seen := self._known(instance)) is None or seen.pid != known.pid:
                return
            time.sleep(_POLL_EVERY)
        self._kill_later(unit, known.pid, launch.stop_timeout)

    def update(self, launch: Launch, *, reload: bool) -> None:
        """Rewrite the unit and have it read, without a restart; then send the reload signal if asked."""
        self._require(launch.instance)
        known = self._known(launch.instance)
        if reload and launch.reload_signal is None:
            raise EngineFailed(f"{launch.instance} has no reload signal", hint="set reload_signal, or restart it")
        if reload and (known is None or known.pid is None):
            raise EngineFailed(f"{launch.instance}: not running, so it cannot be reloaded")
        self.units.write(launch, self._render(launch))
        self._systemctl.call("daemon-reload")
        if reload:
            unit = self.units.name(launch.instance)
            self._systemctl.call("kill", "--kill-who=main", f"--signal={launch.reload_signal}", unit)

    def remove(self, instance: str) -> None:
        """Stop it and forget it; its output stays in the journal."""
        if self.units.read(instance) is None:
            return
        self._end(instance)
        self.units.delete(instance)
        self._systemctl.call("daemon-reload")
        self._systemctl.call("reset-failed", self.units.name(instance), check=False)

    def logs(self, instance: str, *, lines: int | None, since: datetime | None, follow: bool) -> Iterator[LogLine]:
        """Yield the instance's output from the journal, of one that was removed as well."""
        if self.units.read(instance) is None and not (self.home.logs / f"{instance}.log").exists():
            raise EngineFailed(f"{instance}: the instance is not known here")
        reader = journal.follow if follow else journal.read
        return reader(self.units.name(instance), instance, user=self._systemctl.user, lines=lines, since=since)

    def run_once(self, launch: Launch, *, timeout: float) -> Exit:
        """Run a one-shot to its end, then forget it; its tree is killed at the timeout."""
        if not launch.oneshot:
            raise EngineFailed(f"{launch.instance}: only a one-shot runs once")
        try:
            self.start(launch)
            if not self._await_end(launch.instance, timeout):
                self._systemctl.call("kill", "--signal=SIGKILL", self.units.name(launch.instance), check=False)
                self._await_end(launch.instance, _MORE_THAN_STOP)
            known = self._known(launch.instance)
            if known is None or known.last_exit is None:
                hint = f"journalctl -u {self.units.name(launch.instance)}"
                raise EngineFailed(f"{launch.instance}: ended unseen", hint=hint)
            return known.last_exit
        finally:
            self.remove(launch.instance)

    # -- seeing -------------------------------------------------------------------------------

    def observe(self, service: str | None = None) -> tuple[ObservedInstance, ...]:
        """Return every instance that has a unit, or only the service's, by name."""
        names = self.units.instances()
        if service is not None:
            names = [name for name in names if name.rpartition("-")[0] == service]
        return self._seen(names)

    def _known(self, instance: str) -> ObservedInstance | None:
        found = self._seen([instance]) if self.units.path(instance).exists() else ()
        return found[0] if found else None

    def _seen(self, names: list[str]) -> tuple[ObservedInstance, ...]:
        shown = self._systemctl.show([self.units.name(name) for name in names], PROPERTIES)
        found = (self._observed(name, shown.get(self.units.name(name), {})) for name in names)
        return tuple(each for each in found if each is not None)

    def _observed(self, instance: str, shown: dict[str, str]) -> ObservedInstance | None:
        stored = self.units.read(instance)
        if stored is None or "ActiveState" not in shown:
            return None  # removed between the two looks
        launch = stored.launch
        state = state_of(shown, launch, stopped=self.units.is_stopped(instance))
        pid = int(shown["MainPID"]) or None
        waits = waits_for_window(shown, launch) and state is InstanceState.BACKOFF
        fields = launch.fields if stored.intact else {**launch.fields, "unit": "edits by hand"}
        return ObservedInstance(
            instance=instance,
            service=launch.service,
            state=state,
            pid=pid,
            address=launch.address,
            ready=state is InstanceState.RUNNING and self._is_ready(launch, shown["InvocationID"]),
            restarts=restarts_of(shown, launch),
            started_at=moment(shown["ExecMainStartTimestamp"]),
            last_exit=exit_of(shown) or self._last_exit(instance),
            keeper_pid=_MANAGER_PID if state in _LIVE else None,
            # systemd gave up for good; the daemon starts it again when its window is over.
            keeper_alive=not (waits and window_is_over(shown, launch, now=datetime.now(UTC))),
            digest=launch.digest if stored.intact else "edited",
            fields=dict(fields),
            files=dict(launch.files),
            memory_bytes=self._memory_bytes(pid, shown["MemoryCurrent"]),
            limits_by=cgroups.version(cgroups.hierarchies()),
        )

    def _is_ready(self, launch: Launch, invocation: str) -> bool:
        if launch.ready_line is None or invocation in self._said_ready:
            return True
        unit = self.units.name(launch.instance)
        if not journal.has_said(unit, invocation, launch.ready_line, user=self._systemctl.user):
            return False
        self._said_ready.add(invocation)
        return True

    def _last_exit(self, instance: str) -> Exit | None:
        try:
            return read_exit((self.units.folder(instance) / "exit").read_text())
        except (OSError, ValueError):
            return None

    def _memory_bytes(self, pid: int | None, counted: str) -> int | None:
        if pid is None:
            return None
        if counted.isdigit() and int(counted) < 2**63:
            return int(counted)
        return processes.resident_bytes([pid, *processes.descendants_of(pid)])

    # -- acting -------------------------------------------------------------------------------

    def _write(self, launch: Launch) -> None:
        # Whoever looks where output lies on the other engines finds the way from there.
        path = Path(launch.log_path)
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(
                f"its output is in the journal: journalctl _SYSTEMD_UNIT={self.units.name(launch.instance)}\n"
            )
        self.units.write(launch, self._render(launch))
        if launch.oneshot:
            (self.units.folder(launch.instance) / "stopped").unlink(missing_ok=True)
            (self.units.folder(launch.instance) / "exit").unlink(missing_ok=True)
        else:
            self.units.enable(launch.instance)
        self._systemctl.call("daemon-reload")

    def _bring_up(self, launch: Launch) -> None:
        """Start or restart it; an end right after the start is its restart policy's business, not an error here."""
        unit = self.units.name(launch.instance)
        # The starts we ask for are not attempts.
        self._systemctl.call("reset-failed", unit, check=False)
        done = self._systemctl.call("restart", unit, timeout=launch.stop_timeout + _MORE_THAN_STOP, check=False)
        if done.code == 0:
            return
        shown = self._systemctl.show([unit], PROPERTIES).get(unit, {})
        if shown.get("LoadState") != "loaded" or shown.get("Result") == "resources":
            hint = f"systemctl status {unit}; a masked unit: systemctl unmask {unit}"
            raise EngineFailed(f"{launch.instance}: systemd cannot start it: {done.said}", hint=hint)

    def _end(self, instance: str) -> None:
        launch, unit = self._require(instance), self.units.name(instance)
        self.units.mark_stopped(instance)
        self.units.disable(instance)
        self._systemctl.call("stop", unit, timeout=launch.stop_timeout + _MORE_THAN_STOP)
        self._systemctl.call("reset-failed", unit, check=False)
        if launch.container is not None:
            # Its client is gone, but one that had to be killed leaves the container running.
            run(("docker", "rm", "--force", launch.container), timeout=_DOCKER_SECONDS, check=False)

    def _kill_later(self, unit: str, pid: int, after: float) -> None:
        """Have the manager kill it once its time to stop is over, if it is still the same process."""
        ask = " ".join(self._systemctl.command("show", "--value", "--property=MainPID", unit))
        kill = " ".join(self._systemctl.command("kill", "--signal=SIGKILL", unit))
        user = ("--user",) if self._systemctl.user else ()
        when = (f"--on-active={max(after - _SOON, 0.1):g}", "--timer-property=AccuracySec=100ms")
        words = ("/bin/sh", "-c", f'[ "$({ask})" = {pid} ] && {kill}')
        environment = self._systemctl.environment()
        with contextlib.suppress(EngineFailed):
            run(
                ("systemd-run", *user, "--quiet", "--collect", *when, *words),
                timeout=_SOON * 10,
                environment=environment,
            )

    def _tell(self, kind: str, seen: ObservedInstance, cause: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        facts = {"service": seen.service, "instance": seen.instance, "cause": cause, "detail": {"pid": seen.pid}}
        record.append_event(str(self.home.events), {"at": at, "kind": kind, **facts})

    def _await_end(self, instance: str, timeout: float) -> bool:
        end = time.monotonic() + timeout
        while True:
            known = self._known(instance)
            if known is None or known.state not in _LIVE:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_EVERY)

    def _require(self, instance: str) -> Launch:
        stored = self.units.read(instance)
        if stored is None:
            raise EngineFailed(f"{instance}: the instance is not known here")
        return stored.launch
