"""Every check of every instance, one by one, where the verdict alone names only the worst."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent.model.check import Check
from agent.model.desired import DesiredService
from agent.model.instance import InstanceState, ObservedInstance
from agent.operations.health import probe_target
from agent.operations.stack import Stack
from agent.system.probe import probe

_WORKERS = 16


def check_details(
    stack: Stack, observed: tuple[ObservedInstance, ...], daemon: Mapping[str, Any] | None
) -> dict[str, list[dict[str, Any]]]:
    """Return by instance `{name, type, status, output, checked_at}` of each check; what the daemon does not know
    is probed now, and has no `checked_at`."""
    work = [
        (service, seen, check)
        for seen in observed
        if (service := stack.desired.find(seen.service)) is not None
        for check in service.service.checks
    ]
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        found = pool.map(lambda each: _detail(stack, each[0], each[1], each[2], daemon), work)
        details: dict[str, list[dict[str, Any]]] = {}
        for (_, seen, _), detail in zip(work, found, strict=True):
            details.setdefault(seen.instance, []).append(detail)
    return details


def _detail(
    stack: Stack, service: DesiredService, seen: ObservedInstance, check: Check, daemon: Mapping[str, Any] | None
) -> dict[str, Any]:
    detail = {"name": check.title, "type": str(check.type), "checked_at": None}
    told = daemon["checks"].get(f"{seen.instance}/{check.title}") if daemon else None
    if seen.state is not InstanceState.RUNNING:
        return {**detail, "status": "pending", "output": f"{seen.instance} is {seen.state}"}
    if told is not None and told["generation"] == seen.generation:
        return {**detail, "status": told["status"], "output": told["output"], "checked_at": told["checked_at"]}
    number = int(seen.instance.rpartition("-")[2])
    result = probe(check, probe_target(stack, service, check, number=number))
    return {**detail, "status": str(result.status), "output": result.output}
