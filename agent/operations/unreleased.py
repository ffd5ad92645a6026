"""What can be said of a home without a release: its first apply failed, and some of it may run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agent.engine.base import Engine
from agent.model.home import Home
from agent.model.instance import InstanceState, ObservedInstance
from agent.operations.health import describe_exit

NOTE = "no release is stored: the first apply did not finish; what runs is seen, but its checks are not known"
_SAID = frozenset({InstanceState.COMPLETE, InstanceState.STOPPED, InstanceState.FAILED})


def unreleased_status(home: Home, engine: Engine) -> dict[str, Any] | None:
    """Return the status object made of what runs, None when nothing was ever started; it is never `healthy`."""
    by_service: dict[str, list[ObservedInstance]] = {}
    for seen in engine.observe():
        by_service.setdefault(seen.service, []).append(seen)
    if not by_service:
        return None
    runs = any(seen.pid for each in by_service.values() for seen in each)
    return {
        "stack": home.root.name,
        "engine": engine.capabilities().name,
        "verdict": "degraded" if runs else "down",
        "as_of": datetime.now(UTC).isoformat(timespec="seconds"),
        "daemon": None,
        "release": None,
        "notes": [NOTE],
        "services": [
            {"name": name, "desired": len(each), "healthy": 0, "instances": [_instance(seen) for seen in each]}
            for name, each in sorted(by_service.items())
        ],
        "externals": [],
    }


def logged_instances(home: Home) -> tuple[tuple[str, str], ...]:
    """Return (service, instance) of everything that has a log or a keeper, also what ended and was forgotten."""
    names = {path.name.removesuffix(".log") for path in home.logs.glob("*-[0-9]*.log")}
    if home.instances.is_dir():
        names |= {path.name for path in home.instances.iterdir()}
    found = ((name.rpartition("-"), name) for name in names)
    return tuple(sorted((before, name) for (before, _, number), name in found if before and number.isdigit()))


def _instance(seen: ObservedInstance) -> dict[str, Any]:
    return {
        "name": seen.instance,
        "pid": seen.pid,
        "address": seen.address,
        "status": str(seen.state) if seen.state in _SAID else "pending",
        "restarts": seen.restarts,
        "started_at": seen.started_at.isoformat() if seen.started_at else None,
        "memory_bytes": seen.memory_bytes,
        "limits_by": seen.limits_by,
        "check": "",
        "output": describe_exit(seen),
    }
