"""Run one check once, with Consul's meaning of passing, warning and critical."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from agent.core.health import ProbeResult
from agent.errors import AgentError
from agent.model.check import Check, CheckType, Status
from agent.model.instance import User
from agent.system.command import run

_OUTPUT_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """Where and as whom a check runs; the environment is for script checks."""

    host: str
    port: int | None
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    user: User | None = None


def probe(check: Check, target: ProbeTarget) -> ProbeResult:
    """Return the verdict of one run; never raises for what the service does."""
    try:
        match check.type:
            case CheckType.HTTP:
                return _probe_http(check, target)
            case CheckType.TCP:
                socket.create_connection((target.host, target.port or 0), check.timeout.total_seconds()).close()
                return ProbeResult(status=Status.PASSING, output=f"connected to {target.host}:{target.port}")
            case CheckType.SCRIPT:
                return _probe_script(check, target)
            case _:
                return ProbeResult(status=Status.PASSING, output=f"{check.type}: judged by the daemon")
    except (OSError, http.client.HTTPException, AgentError) as error:
        where = f"{target.host}:{target.port}: " if target.port else ""
        return ProbeResult(status=Status.CRITICAL, output=f"{where}{error}"[:_OUTPUT_LIMIT])


def _probe_http(check: Check, target: ProbeTarget) -> ProbeResult:
    timeout = check.timeout.total_seconds()
    connection: http.client.HTTPConnection
    if check.tls:
        context = ssl.create_default_context()
        # A health check asks whether the listener answers; whom it trusts is the certificate check's business.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(target.host, target.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout)
    try:
        connection.request("GET", check.path, headers={"User-Agent": "refnet-agent check", **check.headers})
        answer = connection.getresponse()
        body = answer.read(65536).decode(errors="replace")
    finally:
        connection.close()
    output = f"GET {check.path}: {answer.status} {answer.reason}: {body}"[:_OUTPUT_LIMIT]
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProbeResult(status=Status.WARNING, output=output)
    good = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES and _body_agrees(check, body)
    return ProbeResult(status=Status.PASSING if good else Status.CRITICAL, output=output)


def _body_agrees(check: Check, body: str) -> bool:
    if check.body_match is not None and not re.search(check.body_match, body):
        return False
    if check.json is None:
        return True
    try:
        value = json.loads(body)
        for part in check.json.path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, LookupError, TypeError):
        return False
    return str(value) == check.json.equals


def _probe_script(check: Check, target: ProbeTarget) -> ProbeResult:
    completed = run(
        target.command,
        timeout=check.timeout.total_seconds(),
        environment=target.environment,
        user=target.user,
        directory="/",
        check=False,
    )
    status = {0: Status.PASSING, 1: Status.WARNING}.get(completed.code, Status.CRITICAL)
    return ProbeResult(status=status, output=completed.said[-_OUTPUT_LIMIT:] or f"exit {completed.code}")
