"""The process engine: instances under keepers of our own, on any Linux, without root, systemd or Docker."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.engine import keeper_client, keeper_logs
from agent.engine.base import Capabilities
from agent.engine.keeper import cgroups, processes, record
from agent.errors import EngineFailed
from agent.model.home import Home
from agent.model.instance import Exit, InstanceState, Launch, LogLine, ObservedInstance
from agent.system.command import run

DOCKER_SECONDS = 60.0
POLL_EVERY = 0.01
GONE = "the instance is not known here"


class ProcessEngine:
    """Runs each instance under its own keeper; everything it knows lies under `home/instances`."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.instances = self.home / "instances"
        self.slug = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    def capabilities(self) -> Capabilities:
        """Return what processes can do here; a reboot ends them."""
        limits_by = cgroups.version(cgroups.hierarchies())
        return Capabilities(name="process", survives_reboot=False, containers=False, limits_by=limits_by)

    # -- verbs --------------------------------------------------------------------------------

    def start(self, launch: Launch) -> None:
        """Start the instance, re-adopt it, or replace one with another digest."""
        directory = self._directory(launch.instance)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self._known(launch.instance)
        if known is not None and known.state in _LIVE:
            if known.digest == launch.digest and known.state is not InstanceState.STOPPING and known.keeper_alive:
                return
            if known.digest != launch.digest or known.state is InstanceState.STOPPING:
                self.stop(launch.instance, cause="replaced by a new start")
        if keeper_client.end_frozen(directory):
            self.start(launch)  # it is awake again, and knows how things are
            return
        keeper_client.wait_gone(directory)
        self._write_launch(launch)
        keeper_client.spawn(directory, goal="start", cause="start")

    def stop(self, instance: str, *, cause: str) -> None:
        """Stop the whole tree and wait until it and its keeper are gone."""
        self._stop(instance, cause=cause)

    def _stop(self, instance: str, *, cause: str, timeout: float | None = None) -> None:
        known = self._known(instance)
        if known is None:
            return
        directory = self._directory(instance)
        if keeper_client.is_alive(directory):
            keeper_client.end_frozen(directory)
            # A silent keeper has ended by itself meanwhile, or was just ended.
            with contextlib.suppress(keeper_client.KeeperSilent):
                keeper_client.ask(directory, "stop", to_the_end=True, cause=cause, timeout=timeout)
            keeper_client.wait_gone(directory)
        known = self._known(instance)
        if known is not None and (known.state in _LIVE or processes.tagged(self._tag(instance))):
            keeper_client.spawn(directory, goal="stop", cause=cause)
            if keeper_client.is_alive(directory):
                self._await_end(directory, None)
        self._remove_container(self._read_launch(instance).container)

    def _remove_container(self, name: str | None) -> None:
        # Its client is gone, but one that had to be killed leaves the container running.
        if name is not None:
            run(("docker", "rm", "--force", name), timeout=DOCKER_SECONDS, check=False)

    def restart(self, instance: str, *, cause: str) -> None:
        """Stop and start again at once; one that had ended is started."""
        directory = self._require(instance)
        launch = self._read_launch(instance)
        known = self._known(instance)
        if known is None or known.state not in _LIVE:
            self.start(launch)
            return
        if not known.keeper_alive:
            self.start(launch)  # re-adopts, so that the stop is by the book
        before = keeper_client.ask(directory, "restart", cause=cause)["generation"]
        while keeper_client.is_alive(directory):
            if keeper_client.ask(directory, "status")["generation"] > before:
                return
            time.sleep(POLL_EVERY)
        raise EngineFailed(f"{instance}: ended while it was restarted", hint=f"see the logs of {instance}")

    def fail(self, instance: str, *, cause: str) -> None:
        """Ask the keeper to stop it and to treat its end as a failure."""
        known = self._known(instance)
        if known is None or known.pid is None:
            return
        if not known.keeper_alive:
            self.start(self._read_launch(instance))
        keeper_client.ask(self._require(instance), "fail", cause=cause)

    def update(self, launch: Launch, *, reload: bool) -> None:
        """Hand new policies and fingerprint to the keeper, without a restart."""
        directory = self._require(launch.instance)
        known = self._known(launch.instance)
        if known is not None and known.state in _LIVE:
            if not known.keeper_alive:
                self.start(self._read_launch(launch.instance))
            keeper_client.ask(directory, "update", launch=msgspec.to_builtins(launch), reload=reload)
        elif reload:
            raise EngineFailed(f"{launch.instance}: not running, so it cannot be reloaded")
        self._write_launch(launch)

    def remove(self, instance: str) -> None:
        """Stop it and forget it; its logs stay."""
        self.stop(instance, cause="removed")
        directory = self._directory(instance)
        if directory.exists():
            self._remove_groups(directory)
            shutil.rmtree(directory)

    def _remove_groups(self, directory: Path) -> None:
        # A keeper removes its own at its end; one that was killed could not.
        try:
            written = record.read_object(str(directory / record.RECORD))
        except ValueError:
            return
        cgroups.remove((written or {}).get("cgroups", {}))

    def logs(self, instance: str, *, lines: int | None, since: datetime | None, follow: bool) -> Iterator[LogLine]:
        """Yield the instance's output over its rotated files."""
        # A one-shot is forgotten when it ended; what it said is still there.
        path = Home(root=self.home).logs / f"{instance}.log"
        if self._directory(instance).exists() or not path.exists():
            self._require(instance)
            path = Path(self._read_launch(instance).log_path)
        reader = keeper_logs.follow if follow else keeper_logs.read
        return reader(path, instance, lines=lines, since=since)

    def run_once(self, launch: Launch, *, timeout: float) -> Exit:
        """Run a one-shot to its end, then forget it; its tree is killed at the timeout."""
        if not launch.oneshot:
            raise EngineFailed(f"{launch.instance}: only a one-shot runs once")
        directory = self._directory(launch.instance)
        try:
            self.start(launch)
            if not self._await_end(directory, timeout):
                self._stop(launch.instance, cause=f"no end after {timeout:g} s", timeout=0.0)
            known = self._known(launch.instance)
            if known is None or known.last_exit is None:
                raise EngineFailed(f"{launch.instance}: ended unseen", hint=f"see {directory / 'keeper.log'}")
            return known.last_exit
        finally:
            self.remove(launch.instance)

    # -- seeing -------------------------------------------------------------------------------

    def observe(self, service: str | None = None) -> tuple[ObservedInstance, ...]:
        """Return every instance under this home, or only the service's, by name."""
        if not self.instances.is_dir():
            return ()
        names = sorted(folder.name for folder in self.instances.iterdir() if folder.is_dir())
        if service is not None:
            # Each instance is a question to its keeper: hundreds of others must not be asked in vain.
            names = [name for name in names if name.rpartition("-")[0] == service]
        return tuple(seen for name in names if (seen := self._known(name)) is not None)

    def _known(self, instance: str) -> ObservedInstance | None:
        directory = self._directory(instance)
        if not (directory / record.LAUNCH).exists():
            return None
        try:
            return self._observed(keeper_client.ask(directory, "status"), by_keeper=True)
        except EngineFailed:
            pass  # no keeper, or one that does not answer and so restarts nothing: the record tells
        launch = msgspec.to_builtins(self._read_launch(instance))
        written = record.load(str(directory), launch, self._tag(instance))
        return self._observed(written or {**record.fresh(launch), "state": "stopped"}, by_keeper=False)

    def _observed(self, written: dict[str, Any], *, by_keeper: bool) -> ObservedInstance:
        state = InstanceState(written["state"])
        same_boot = written["boot_id"] == processes.boot_id()
        alive = same_boot and processes.is_alive(written["pid"], written["ticks"])
        if state in _LIVE and not by_keeper:
            # Nobody is there to move it on: what runs is running, what does not has ended.
            ended = InstanceState.FAILED if same_boot else InstanceState.STOPPED
            state = InstanceState.RUNNING if alive else ended
        last_exit = written.get("last_exit")
        return ObservedInstance(
            instance=written["instance"],
            service=written["service"],
            state=state,
            pid=written["pid"] if alive else None,
            address=written.get("address"),
            ready=bool(written["ready"]) and alive,
            restarts=written["restarts"],
            started_at=_moment(written.get("started_at")),
            last_exit=msgspec.convert(last_exit, Exit) if last_exit else None,
            keeper_pid=written["keeper_pid"] if by_keeper else None,
            keeper_alive=by_keeper or not alive,
            digest=written["digest"],
            fields=dict(written["fields"]),
            files=dict(written["files"]),
            memory_bytes=self._memory_bytes(written) if alive else None,
            limits_by=written["limits_by"],
        )

    def _memory_bytes(self, written: dict[str, Any]) -> int:
        counted = cgroups.memory_bytes(written["cgroups"])
        if counted is not None:
            return counted
        members = cgroups.members(written["cgroups"]) or processes.descendants_of(written["pid"])
        return processes.resident_bytes([written["pid"], *members])

    # -- folders ------------------------------------------------------------------------------

    def _directory(self, instance: str) -> Path:
        if not instance or "/" in instance or instance.startswith("."):
            raise EngineFailed(f"{instance!r} cannot be the name of an instance")
        return self.instances / instance

    def _require(self, instance: str) -> Path:
        directory = self._directory(instance)
        if not (directory / record.LAUNCH).exists():
            raise EngineFailed(f"{instance}: {GONE}")
        return directory

    def _tag(self, instance: str) -> str:
        return f"{instance}@{self.slug}"

    def _write_launch(self, launch: Launch) -> None:
        envelope = {"version": record.VERSION, "tag": self._tag(launch.instance), "launch": msgspec.to_builtins(launch)}
        path = self._directory(launch.instance) / record.LAUNCH
        record.write_atomically(str(path), json.dumps(envelope).encode())

    def _read_launch(self, instance: str) -> Launch:
        path = self._directory(instance) / record.LAUNCH
        try:
            return msgspec.convert(json.loads(path.read_bytes())["launch"], Launch)
        except OSError as error:
            raise EngineFailed(f"{path}: unreadable: {error}", hint="refnet-agent doctor") from error
        except (ValueError, KeyError, TypeError):
            record.quarantine(str(path))
            return self._stand_in(instance)

    def _stand_in(self, instance: str) -> Launch:
        """Write what is enough to see, adopt and stop an instance whose launch was lost; it equals no desired one."""
        launch = Launch(
            instance=instance,
            service=instance.rpartition("-")[0],
            command=("/bin/false",),
            directory="/",
            log_path=str(Home(root=self.home).logs / f"{instance}.log"),
            digest="lost",
            fields={"launch": "its file was unreadable and is put aside"},
        )
        self._write_launch(launch)
        return launch

    def _await_end(self, directory: Path, timeout: float | None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while keeper_client.is_alive(directory):
            if end is not None and time.monotonic() > end:
                return False
            time.sleep(POLL_EVERY)
        return True


_LIVE = frozenset(InstanceState(name) for name in record.LIVE_STATES)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
