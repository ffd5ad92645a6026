"""Gather what can be seen of every service now, and say why things are as they are."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.core.diagnosis import diagnose, diagnose_all
from agent.errors import StateUnreadable
from agent.model.desired import DesiredService
from agent.model.diagnosis import Diagnosis, Evidence
from agent.model.instance import InstanceState, ObservedInstance
from agent.operations.desire import missing_binaries
from agent.operations.health import describe_exit, last_lines
from agent.operations.held import held_services
from agent.operations.history import History, Wanted
from agent.operations.preflight import is_taken, port_owner
from agent.operations.stack import Stack
from agent.operations.status import status
from agent.system.database import Database

_RECENT = timedelta(minutes=30)
_WELL = frozenset({"passing", "warning", "complete", "unavailable"})


def explain_all(stack: Stack) -> tuple[Diagnosis, ...]:
    """Return one diagnosis for each root of the trouble there is now; none when all is well."""
    return diagnose_all(gather(stack))


def explain(stack: Stack, service: str) -> Diagnosis:
    """Return why one service is as it is; its symptom is empty when it is well."""
    return diagnose(service, gather(stack))


def gather(stack: Stack) -> dict[str, Evidence]:
    """Return what is seen of every service that this host runs."""
    shown = status(stack, details=True)
    observed = {each.instance: each for each in stack.engine.observe()}
    held = held_services(stack.home)
    restarts = _restarts(stack)
    missing = missing_binaries(stack.desired)
    found = {}
    for each in shown["services"]:
        service = stack.desired.find(each["name"])
        if service is None or service.unavailable or service.service.external:
            continue
        found[service.name] = _evidence(
            stack, service, each, observed, held=service.name in held, restarts=restarts[service.name]
        )
    for binary, package in missing.items():
        for name, evidence in found.items():
            service = stack.desired.find(name)
            if service is not None and binary in service.service.packages and evidence.symptom:
                found[name] = replace(evidence, missing=(*evidence.missing, f"{binary} (apt-get install {package})"))
    for external in shown["externals"]:
        for name in external["used_by"] if external["status"] == "critical" else ():
            if name in found:
                words = f"{external['step']}: {external['detail']}"
                symptom = found[name].symptom or "misses what it needs from outside"
                found[name] = replace(found[name], symptom=symptom, externals={external["name"]: words})
    return found


def _evidence(
    stack: Stack,
    service: DesiredService,
    shown: dict[str, Any],
    observed: dict[str, ObservedInstance],
    *,
    held: bool,
    restarts: int,
) -> Evidence:
    bad = [each for each in shown["instances"] if each["status"] not in _WELL]
    instance = next((observed[each["name"]] for each in bad if each["name"] in observed), None)
    count = len(shown["instances"])
    symptom = ""
    if bad:
        first = f"{bad[0]['name']} is {bad[0]['status']}"
        symptom = first if count == 1 else f"{first}, {count - len(bad)} of {count} instances are well"
    elif not held and shown["healthy"] < shown["desired"]:
        symptom = f"{shown['healthy']} of {shown['desired']} instances are there"
    if held and not symptom:
        symptom = "is stopped"
    ended = instance.last_exit if instance and instance.state is not InstanceState.RUNNING else None
    return Evidence(
        service=service.name,
        symptom=symptom,
        depends_on=service.service.depends_on,
        signatures=service.service.diagnose,
        process_state=_process_state(instance),
        pid=instance.pid if instance else None,
        exit=describe_exit(instance) if instance and ended else "",
        exit_code=ended.code if ended else None,
        out_of_memory=bool(ended and ended.out_of_memory),
        strangers=tuple(_strangers(stack, service, instance)) if bad else (),
        checks=tuple(f"{each.get('check', '')}: {each.get('output', '')}".strip(": ") for each in bad),
        lines=last_lines(stack, instance.instance) if instance else (),
        restarts=restarts,
        held=held,
    )


def _process_state(instance: ObservedInstance | None) -> str:
    if instance is None or instance.pid is None:
        return ""
    try:
        text = Path(f"/proc/{instance.pid}/stat").read_text()
    except OSError:
        return ""
    letter = text.rpartition(")")[2].split()[0]
    return "" if letter in {"R", "S", "I"} else letter


def _strangers(stack: Stack, service: DesiredService, instance: ObservedInstance | None) -> list[str]:
    """Return the holders of ports the instance needs while it does not run itself."""
    if instance is None or instance.pid is not None:
        return []
    number = int(instance.instance.rpartition("-")[2])
    ports = [base + stack.desired.settings.port_offset + number - 1 for base in service.service.ports.values()]
    return [f"port {port} is taken{port_owner(port)}" for port in ports if is_taken(port)]


def _restarts(stack: Stack) -> Counter[str]:
    wanted = Wanted(kinds=["restarted"], since=datetime.now(UTC) - _RECENT)
    try:
        with contextlib.closing(Database(stack.home.database)) as database:
            return Counter(event["service"] for event in History(stack.home, database).read(wanted))
    except StateUnreadable:
        return Counter()  # what was done is not known; what is wrong can still be said
