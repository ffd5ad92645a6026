"""Restart what fails its checks: by its own policy, within the host's budget, and never for another's fault."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from agent.core.affected import failing_ancestors, root_causes
from agent.core.health import ProbeResult, worst
from agent.core.unhealthy import Patience, be_patient, is_exhausted, spend
from agent.errors import Busy
from agent.model.check import Status
from agent.model.instance import ObservedInstance
from agent.model.service import Dependency, OnFailure, Service
from agent.operations.maintenance import why_left_alone
from agent.operations.prepare import finished
from agent.system.lock import DAEMON, hold

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

_MEMORY_SAMPLES = 3


class Healer:
    """What the daemon does about failing instances; one turn a cycle."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._patience: dict[str, Patience] = {}
        self._started: dict[str, tuple[str, float]] = {}
        self._over_memory: dict[str, int] = defaultdict(int)
        self._recent: tuple[float, ...] = ()
        self._suffered: dict[str, set[str]] = defaultdict(set)
        self._told: dict[str, str] = {}
        self.affected: dict[str, tuple[str, ...]] = {}
        self.left_alone: dict[str, str] = {}

    async def turn(self) -> None:
        """Adopt what lost its keeper, then restart what has failed for long enough."""
        daemon = self._daemon
        self.left_alone = {}
        await self._adopt()
        failing = daemon.failing()
        self.affected = root_causes(failing, self._edges())
        await self._restart_survivors(failing)
        for seen in daemon.observed:
            service = daemon.stack.desired.find(seen.service)
            if service is None or seen.pid is None or service.service.is_oneshot:
                continue
            suffers_from = failing_ancestors(service.name, self._edges(), failing | daemon.unsettled())
            if suffers_from:
                self._be_lenient(seen, suffers_from)
            cause = self._failed_check(seen, service.service) or self._too_large(seen, service.service)
            if cause and await self._may_restart(seen, service.service):
                await self._restart(seen, cause)
        self._tell_left_alone()

    def _be_lenient(self, seen: ObservedInstance, suffers_from: tuple[str, ...]) -> None:
        """Begin to count anew: what failed while another was down says nothing once that one is back."""
        for key in [key for key in self._patience if key.startswith(f"{seen.instance}/")]:
            if self._patience[key].bad_since is not None:
                self.left_alone[seen.instance] = f"suffers from {', '.join(suffers_from)}"
                self._patience[key] = Patience(generation=self._patience[key].generation)

    def forgive(self, seconds: float) -> None:
        """Nobody looked for so long: move every moment a check went bad by it."""
        self._patience = {
            key: Patience(
                generation=each.generation,
                bad_since=None if each.bad_since is None else each.bad_since + seconds,
            )
            for key, each in self._patience.items()
        }

    def alias_of(self, name: str) -> ProbeResult:
        """Return what an alias of the service says: the worst of its checks; an unknown service is critical."""
        if self._daemon.stack.desired.find(name) is None:
            return ProbeResult(status=Status.CRITICAL, output=f"there is no service {name}")
        statuses = [state.status for state in self._daemon.states_of(name).values()]
        if not self._daemon.live(name):
            statuses.append(Status.CRITICAL)
        status = worst(statuses)
        return ProbeResult(status=status, output=f"{name} is {status}")

    # -- what failed --------------------------------------------------------------------------

    def _failed_check(self, seen: ObservedInstance, service: Service) -> str | None:
        now = time.monotonic()
        generation, started = self._generation(seen, now)
        exhausted = None
        for check in self._daemon.startup.checks(seen, service):
            key = f"{seen.instance}/{check.title}"
            state = self._daemon.watch.states.get(key)
            policy = check.check_restart or service.check_restart
            if state is None:
                continue
            patience = be_patient(
                self._patience.get(key),
                policy=policy,
                status=state.status,
                generation=generation,
                started=started,
                now=now,
            )
            self._patience[key] = patience
            if not is_exhausted(patience, check, policy, now=now):
                continue
            if state.flapping:
                self.left_alone[seen.instance] = f"{check.title} is flapping"
                continue
            said = "".join(state.output.strip().splitlines()[:1])[:200]
            exhausted = f"check {check.title} failed for {now - (patience.bad_since or now):.0f} s: {said}"
        return exhausted

    def _too_large(self, seen: ObservedInstance, service: Service) -> str | None:
        limit = service.resources.memory_restart
        if limit is None or seen.memory_bytes is None or seen.memory_bytes <= limit:
            self._over_memory.pop(seen.instance, None)
            return None
        self._over_memory[seen.instance] += 1
        if self._over_memory[seen.instance] < _MEMORY_SAMPLES:
            return None
        return f"uses {seen.memory_bytes // 1024**2} MiB, allowed are {limit // 1024**2}"

    def _generation(self, seen: ObservedInstance, now: float) -> tuple[str, float]:
        generation = seen.generation
        known = self._started.get(seen.instance)
        if known is None or known[0] != generation:
            age = (datetime.now(UTC) - seen.started_at).total_seconds() if seen.started_at else 0.0
            # Only at first sight is wall time asked; a clock that jumped can make the grace longer, never endless.
            self._started[seen.instance] = known = (generation, now - max(age, 0.0))
        return known

    # -- who is innocent ----------------------------------------------------------------------

    async def _may_restart(self, seen: ObservedInstance, service: Service) -> bool:
        daemon = self._daemon
        if said := await asyncio.to_thread(why_left_alone, daemon.database, service.name):
            self.left_alone[seen.instance] = said
            return False
        above = self._above(service.name)
        # What it rests on may have failed since it was last looked at: look now, before an innocent is restarted.
        await daemon.watch.look_now(key for key, each in daemon.watch.watched.items() if each.service in above)
        if guilty := failing_ancestors(service.name, self._edges(), daemon.failing() | daemon.unsettled()):
            self.left_alone[seen.instance] = f"suffers from {', '.join(guilty)}"
            return False
        budget = daemon.stack.desired.settings.daemon.restart_budget
        allowed, recent = spend(
            self._recent, limit=budget.limit, interval=budget.interval.total_seconds(), now=time.monotonic()
        )
        if not allowed:
            self.left_alone[seen.instance] = f"{budget.limit} restarts on this host in {budget.interval} are enough"
            return False
        self._recent = recent
        return True

    def _above(self, name: str) -> set[str]:
        edges, found, level = self._edges(), set[str](), [name]
        while level:
            level = [needed for each in level for needed in edges.get(each, {}) if needed not in found]
            found.update(level)
        return found

    def _edges(self) -> dict[str, dict[str, Dependency]]:
        return {each.name: each.service.depends_on for each in self._daemon.stack.desired.services}

    async def _restart_survivors(self, failing: frozenset[str]) -> None:
        """Restart those whose edge asks for it, once what they rest on is back."""
        for service in self._daemon.stack.desired.services:
            asked = {name for name, edge in service.service.depends_on.items() if edge.on_failure is OnFailure.RESTART}
            back = (self._suffered[service.name] & asked) - failing
            self._suffered[service.name] |= asked & failing
            if not back or asked & failing:
                continue
            if await asyncio.to_thread(why_left_alone, self._daemon.database, service.name):
                continue  # what it suffered from is remembered until the maintenance ends
            self._suffered[service.name] -= back
            for seen in self._daemon.live(service.name):
                cause = f"{', '.join(sorted(back))} failed and is back"
                await self._locked(partial(self._daemon.stack.engine.restart, seen.instance, cause=cause))

    def _tell_left_alone(self) -> None:
        for instance, why in self.left_alone.items():
            if self._told.get(instance) != why:
                self._daemon.tell("left-alone", instance=instance, service=instance.rpartition("-")[0], cause=why)
        self._told = dict(self.left_alone)

    # -- acting -------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        stack = self._daemon.stack
        for seen in self._daemon.observed:
            service = stack.desired.find(seen.service)
            launches = service.launches if service else ()
            launch = next((each for each in launches if each.instance == seen.instance), None)
            if service is None or seen.keeper_alive or launch is None or launch.digest != seen.digest:
                continue
            ready = finished(stack, service, launch)
            cause = "its keeper died" if seen.pid else "the interval of its restart policy is over"
            if await self._locked(partial(stack.engine.start, ready)):
                self._daemon.tell("re-adopted", service=seen.service, instance=seen.instance, cause=cause)

    async def _restart(self, seen: ObservedInstance, cause: str) -> None:
        daemon = self._daemon

        def act() -> None:
            now = {each.instance: each for each in daemon.stack.engine.observe()}.get(seen.instance)
            if now is not None and now.pid == seen.pid:
                daemon.tell("unhealthy", service=seen.service, instance=seen.instance, cause=cause)
                daemon.stack.engine.fail(seen.instance, cause=cause)

        if await self._locked(act):
            self._over_memory.pop(seen.instance, None)
            for key in [key for key in self._patience if key.startswith(f"{seen.instance}/")]:
                del self._patience[key]

    async def _locked(self, act: Callable[[], None]) -> bool:
        """Act while no apply runs; False when one does: then restarts are its business."""

        def locked() -> bool:
            try:
                with hold(self._daemon.stack.home.lock, message=DAEMON):
                    act()
            except Busy:
                return False
            return True

        return await asyncio.to_thread(locked)
