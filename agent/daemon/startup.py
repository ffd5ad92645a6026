"""Which checks of an instance run: only its startup check until that has passed once, then all the others.

Source: podman's startup health check, which keeps a slow start apart from a slow answer.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from agent.core.health import CheckState
from agent.errors import StateUnreadable
from agent.model.check import Check, CheckRestart, Status
from agent.model.instance import ObservedInstance
from agent.model.service import Service
from agent.operations.memory import Memory

_NEVER = CheckRestart(limit=0)


class Startup:
    """Which generation of each instance has started up; remembered over a restart of the daemon."""

    def __init__(self, memory: Memory, states: dict[str, CheckState]) -> None:
        self._memory = memory
        self._states = states
        self._started: dict[str, str] = {}

    def checks(self, seen: ObservedInstance, service: Service) -> tuple[Check, ...]:
        """Return what to ask this instance now; a startup check restarts it only where it says so itself."""
        declared = service.startup_check
        if declared is None or self._has_started(seen):
            return service.checks
        check = replace(declared, name=f"startup {declared.title}", check_restart=declared.check_restart or _NEVER)
        state = self._states.get(f"{seen.instance}/{check.title}")
        if state is None or state.status is Status.CRITICAL:
            return (check,)
        self._started[seen.instance] = seen.generation
        with contextlib.suppress(StateUnreadable):
            self._memory.remember(f"started {seen.instance}", seen.generation)
        return service.checks

    def _has_started(self, seen: ObservedInstance) -> bool:
        if seen.instance not in self._started:
            with contextlib.suppress(StateUnreadable):
                self._started[seen.instance] = self._memory.fact(f"started {seen.instance}") or ""
        return self._started.get(seen.instance) == seen.generation
