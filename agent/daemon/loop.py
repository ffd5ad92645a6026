"""The daemon's loop: see what runs, judge it by its checks, restart what fails, and say what changed.

It owns no desired state: apply and roll-back write it, the daemon reads the newest release. While one of them holds
the home's lock, restarts are left to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from agent.core.health import CheckState
from agent.daemon.externals import Externals
from agent.daemon.healer import Healer
from agent.daemon.metrics import Counters
from agent.daemon.pushes import Pushes
from agent.daemon.startup import Startup
from agent.daemon.watch import Watch, Watched
from agent.errors import AgentError
from agent.model.check import CheckType, Status
from agent.model.incident import Incident
from agent.model.instance import InstanceState, ObservedInstance
from agent.model.maintenance import Maintenance
from agent.operations.daemon import keep_own_keeper
from agent.operations.events import record
from agent.operations.health import probe_target
from agent.operations.held import held_services
from agent.operations.maintenance import describe as describe_maintenance
from agent.operations.memory import Memory
from agent.operations.opening import open_release
from agent.operations.releases import newest_number
from agent.operations.stack import Stack
from agent.system.database import Database
from agent.system.notify import notify_manager, watchdog_seconds

CYCLE_SECONDS = 1.0
_GAP_SECONDS = 10.0


class Daemon:
    """One stack under watch; everything here lives on one event loop."""

    def __init__(self, stack: Stack, database: Database) -> None:
        self.stack = stack
        self.database = database
        self.observed: tuple[ObservedInstance, ...] = ()
        self.as_of = datetime.now(UTC)
        self.started_at = self.as_of
        self._release = newest_number(stack.home)
        memory = Memory(database)
        self.watch = Watch(memory, slow_scripts=stack.desired.settings.daemon.script_checks, listener=self._changed)
        self.healer = Healer(self)
        self.startup = Startup(memory, self.watch.states)
        self._pushes = Pushes(self, memory)
        self.externals = Externals(self.tell)
        self.maintenance: tuple[Maintenance, ...] = ()
        self.incidents: tuple[Incident, ...] = ()
        self._trouble = ""
        self.counters = Counters()
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        """Turn the loop until a signal asks for the end; no service is touched by it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._leaving.set)
        last = time.monotonic()
        while not self._leaving.is_set():
            now = time.monotonic()
            if now - last > _GAP_SECONDS:
                # We were stopped or the machine slept: what we did not see counts against nobody.
                self.healer.forgive(now - last)
                self.tell("resumed", cause=f"after {now - last:.0f} s without a look")
            last = now
            await self.cycle()
            self.counters.count_cycle(time.monotonic() - now)
            if watchdog_seconds() is not None:
                notify_manager("WATCHDOG=1")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), CYCLE_SECONDS)
        await self.watch.close()
        await self.externals.close()

    async def cycle(self) -> None:
        """Do one turn; a failure is told and the next turn tries again."""
        try:
            await self._follow_release()
            if await asyncio.to_thread(keep_own_keeper, self.stack.home):
                self.tell("re-adopted", service="daemon", cause="the daemon's keeper died")
            self.observed = await asyncio.to_thread(self.stack.engine.observe)
            self.as_of = datetime.now(UTC)
            self.watch.replace(self._wanted())
            self.externals.replace(self.stack)
            self._push_aliases()
            await self._pushes.turn()
            await self.healer.turn()
            self._trouble = ""
        except (AgentError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self.tell("daemon-trouble", cause=self._trouble)

    def tell(self, kind: str, *, service: str = "", instance: str = "", cause: str = "", detail: str = "") -> None:
        """Record an event."""
        self.counters.count_event(kind)
        words = {"service": service, "instance": instance, "cause": cause, "detail": detail}
        record(self.stack.home.events, kind=kind, who="daemon", **words)

    def states_of(self, service: str) -> dict[str, CheckState]:
        """Return the state of every check of the service that ran, by key."""
        keys = (key for key, each in self.watch.watched.items() if each.service == service)
        return {key: self.watch.states[key] for key in keys if key in self.watch.states}

    def live(self, service: str) -> tuple[ObservedInstance, ...]:
        """Return the service's instances that run."""
        return tuple(each for each in self.observed if each.service == service and each.state is InstanceState.RUNNING)

    def failing(self) -> frozenset[str]:
        """Return the services of which an instance is critical or does not run though it should."""
        held = held_services(self.stack.home)
        bad = set()
        for service in self.stack.desired.services:
            if service.name in held or service.service.is_oneshot or not service.launches:
                continue
            if len(self.live(service.name)) < len(service.launches):
                bad.add(service.name)
            if any(state.status is Status.CRITICAL for state in self.states_of(service.name).values()):
                bad.add(service.name)
        return frozenset(bad)

    def unsettled(self) -> frozenset[str]:
        """Return the services with a check that has not said anything since its instance started."""
        return frozenset(each.service for key, each in self.watch.watched.items() if key not in self.watch.states)

    async def _follow_release(self) -> None:
        number = newest_number(self.stack.home)
        if number != self._release:
            self.stack = await asyncio.to_thread(open_release, self.stack.home)
            self._release = number

    def _wanted(self) -> Iterable[Watched]:
        for seen in self.observed:
            service = self.stack.desired.find(seen.service)
            if service is None or seen.state is not InstanceState.RUNNING or not seen.ready:
                continue
            number = int(seen.instance.rpartition("-")[2])
            for check in self.startup.checks(seen, service.service):
                key = f"{seen.instance}/{check.title}"
                known = self.watch.watched.get(key)
                generation = seen.generation
                if known is not None and known.check == check and known.generation == generation:
                    yield known
                    continue
                target = probe_target(self.stack, service, check, number=number)
                yield Watched(
                    service=seen.service, instance=seen.instance, check=check, target=target, generation=generation
                )

    def _push_aliases(self) -> None:
        for key, each in self.watch.watched.items():
            if each.check.type is CheckType.ALIAS:
                self.watch.push(key, self.healer.alias_of(each.check.target))

    def _changed(self, each: Watched, before: CheckState | None, after: CheckState) -> None:
        if before is None and after.status is Status.PASSING:
            return
        was = before.status if before else "unknown"
        kind = "flapping" if after.flapping and not (before and before.flapping) else "check"
        self.tell(
            kind,
            service=each.service,
            instance=each.instance,
            cause=f"{each.check.title}: {was} → {after.status}",
            detail=after.output,
        )


def describe(daemon: Daemon) -> dict[str, object]:
    """Return what the daemon knows, for `status` and whoever asks at the socket."""
    return {
        "pid": os.getpid(),
        "since": daemon.started_at.isoformat(timespec="seconds"),
        "as_of": daemon.as_of.isoformat(timespec="milliseconds"),
        "checks": {
            key: {
                "status": state.status,
                "output": state.output,
                "since": state.since.isoformat(timespec="seconds"),
                "checked_at": state.checked_at.isoformat(timespec="milliseconds"),
                "flapping": state.flapping,
                "generation": daemon.watch.watched[key].generation,
            }
            for key, state in daemon.watch.states.items()
            if key in daemon.watch.watched
        },
        "affected": daemon.healer.affected,
        "left_alone": daemon.healer.left_alone,
        "externals": daemon.externals.describe(),
        "incidents": [
            {
                "id": each.id,
                "service": each.subject,
                "severity": each.severity,
                "since": each.opened_at,
                "cause": each.cause or each.symptom,
                "affected": list(each.affected),
                "flapping": each.flapping,
            }
            for each in daemon.incidents
        ],
        "notes": [describe_maintenance(each) for each in daemon.maintenance],
    }
