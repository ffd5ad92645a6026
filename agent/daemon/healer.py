"""Restart what fails its checks, and only that: by its own policy, within the host's budget, never for another's fault."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from agent.core.affected import failing_ancestors, root_causes
from agent.core.health import ProbeResult, worst
from agent.core.unhealthy import Patience, be_patient, is_exhausted, spend
from agent.errors import AgentError, Busy
from agent.model.check import CheckRestart, Status
from agent.model.instance import ObservedInstance
from agent.model.service import OnFailure, Service
from agent.operations.maintenance import under_maintenance
from agent.system.lock import DAEMON, hold

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon
    from agent.daemon.watch import Watched

_MEMORY_SAMPLES = 3


class Healer:
    """What the daemon does about failing instances; one turn a cycle."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._patience: dict[str, Patience] = {}
        self._started: dict[str, float] = {}
        self._recent: tuple[float, ...] = ()
        self._over_memory: dict[str, int] = defaultdict(int)
        self._waiting: set[str] = set()
        self._was_failing: frozenset[str] = frozenset()
        self.affected: dict[str, tuple[str, ...]] = {}
        self.left_alone: dict[str, str] = {}

    async def turn(self) -> None:
        """Adopt what lost its keeper, then restart what has failed for long enough."""
        daemon = self._daemon
        self.left_alone = {}
        await self._adopt()
        failing = daemon.failing()
        edges = {each.name: each.service.depends_on for each in daemon.stack.desired.services}
        self.affected = {root: names for root, names in root_causes(failing, edges).items() if names}
        await self._restart_dependents(failing)
        for seen in daemon.observed:
            service = daemon.stack.desired.find(seen.service)
            if service is None or seen.pid is None:
                continue
            cause = self._failed_check(seen, service.service) or self._too_large(seen, service.service)
            if cause:
                await self._restart(seen, cause)

    def forgive(self, seconds: float) -> None:
        """Nobody looked for so long: move every moment a check went bad by it."""
        self._patience = {
            key: Patience(generation=each.generation, bad_since=each.bad_since and each.bad_since + seconds)
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

    def describe(self) -> dict[str, object]:
        """Return who suffers from whom, and whom it left alone and why."""
        return {"affected": self.affected, "left_alone": self.left_alone}

    async def _adopt(self) -> None:
        for seen in self._daemon.observed:
            service = self._daemon.stack.desired.find(seen.service)
            launches = service.launches if service else ()
            launch = next((each for each in launches if each.instance == seen.instance), None)
            if seen.keeper_alive or launch is None or launch.digest != seen.digest:
                continue
            from agent.operations.prepare import finished  # noqa: PLC0415

            await self._locked(seen.instance, "adopt", lambda: None)
            if service is not None:
                ready = finished(self._daemon.stack, service, launch)
                await self._locked(seen.instance, "its keeper died", lambda ready=ready: self._engine().start(ready))
