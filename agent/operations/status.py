"""What runs now, as the engine sees it and its checks judge it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.core.reconcile import run_identity
from agent.model.check import Status
from agent.model.desired import DesiredService
from agent.model.home import Home
from agent.model.instance import InstanceState, ObservedInstance
from agent.operations.check_details import check_details
from agent.operations.daemon import ask_daemon
from agent.operations.engines import choose_engine
from agent.operations.health import Verdict, judge_all
from agent.operations.held import held_services
from agent.operations.oneshots import completed_runs
from agent.operations.releases import newest_number
from agent.operations.stack import Stack

_STALE_SECONDS = 15.0


def status(stack: Stack, *, details: bool = False) -> dict[str, Any]:
    """Return the documented status object: stack, engine, verdict and every service with its instances.

    `details` adds `checks` to each instance: every check with what it says.
    """
    observed = stack.engine.observe()
    daemon = knowledge(stack.home)
    verdicts = _told(stack, observed, daemon) if daemon else judge_all(stack, observed)
    held = held_services(stack.home)
    done = completed_runs(stack)
    services = [
        _completed(each) if _is_completed(each, done) else _service(each, observed, verdicts, held)
        for each in stack.desired.services
    ]
    if details:
        found = check_details(stack, observed, daemon)
        for service in services:
            for instance in service["instances"]:
                instance["checks"] = found.get(instance["name"], [])
    return {
        "stack": stack.desired.settings.name,
        "engine": stack.engine.capabilities().name,
        "engine_reason": choose_engine(stack.home, stack.desired.settings.engine).why,
        "verdict": _verdict(services, daemon["externals"] if daemon else []),
        "as_of": daemon["as_of"] if daemon else datetime.now(UTC).isoformat(timespec="seconds"),
        "daemon": {"pid": daemon["pid"], "since": daemon["since"]} if daemon else None,
        "release": newest_number(stack.home) or None,
        "notes": daemon.get("notes", []) if daemon else [],
        "services": services,
        "externals": daemon["externals"] if daemon else [],
    }


def knowledge(home: Home) -> dict[str, Any] | None:
    """Return what the daemon knows, None when there is none or it has not looked lately: then we look ourselves."""
    answer = ask_daemon(home, {"verb": "status"})
    if answer is None:
        return None
    told: dict[str, Any] = answer["daemon"]
    age = datetime.now(UTC) - datetime.fromisoformat(told["as_of"])
    return told if abs(age.total_seconds()) < _STALE_SECONDS else None


def _told(stack: Stack, observed: tuple[ObservedInstance, ...], daemon: Mapping[str, Any]) -> Mapping[str, Verdict]:
    """Judge by the daemon's checks; what it has not looked at yet is probed now."""
    verdicts: dict[str, Verdict] = {}
    unknown = []
    for seen in observed:
        service = stack.desired.find(seen.service)
        if service is None or seen.state is not InstanceState.RUNNING or not seen.ready:
            unknown.append(seen)
            continue
        told = {check.title: daemon["checks"].get(f"{seen.instance}/{check.title}") for check in service.service.checks}
        if any(each is None or each["generation"] != seen.generation for each in told.values()):
            unknown.append(seen)
            continue
        verdicts[seen.instance] = _worst(told)
    return verdicts | dict(judge_all(stack, tuple(unknown)))


def _worst(told: Mapping[str, Any]) -> Verdict:
    for status in (Status.CRITICAL, Status.WARNING):
        for title, check in told.items():
            if check["status"] == status:
                return Verdict(status=status, check=title, output=check["output"])
    return Verdict(status=Status.PASSING)


def _service(
    service: DesiredService,
    observed: tuple[ObservedInstance, ...],
    verdicts: Mapping[str, Verdict],
    held: frozenset[str],
) -> dict[str, Any]:
    seen = [each for each in observed if each.service == service.name]
    instances = [_instance(each, verdicts[each.instance]) for each in seen]
    if service.unavailable:
        instances = [{"name": service.name, "status": "unavailable", "output": service.unavailable}]
    return {
        "name": service.name,
        "desired": 0 if service.name in held else len(service.launches),
        "healthy": sum(1 for each in seen if verdicts[each.instance].is_good),
        "instances": instances,
    }


def _is_completed(service: DesiredService, done: frozenset[str]) -> bool:
    return service.service.is_oneshot and any(run_identity(launch) in done for launch in service.launches)


def _completed(service: DesiredService) -> dict[str, Any]:
    """A one-shot that ended well leaves no instance behind, only the memory of it."""
    instances = [{"name": launch.instance, "pid": None, "status": "complete"} for launch in service.launches]
    return {"name": service.name, "desired": len(instances), "healthy": len(instances), "instances": instances}


def _instance(seen: ObservedInstance, verdict: Verdict) -> dict[str, Any]:
    complete = seen.state is InstanceState.COMPLETE
    return {
        "name": seen.instance,
        "pid": seen.pid,
        "address": seen.address,
        "status": "complete" if complete else verdict.status,
        "restarts": seen.restarts,
        "started_at": seen.started_at.isoformat() if seen.started_at else None,
        "memory_bytes": seen.memory_bytes,
        "limits_by": seen.limits_by,
        "check": verdict.check,
        "output": verdict.output,
    }


def _verdict(services: list[dict[str, Any]], externals: list[dict[str, Any]]) -> str:
    wanted = [each for each in services if each["desired"]]
    missed = any(each["status"] == "critical" and each["used_by"] for each in externals)
    if all(each["healthy"] >= each["desired"] for each in wanted):
        return "degraded" if missed else "healthy"
    return "degraded" if any(each["healthy"] for each in wanted) else "down"
