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
from typing import assert_never

from agent.core.health import ProbeResult
from agent.errors import AgentError, CommandTimedOut
from agent.model.check import Check, CheckType, Status
from agent.model.instance import User
from agent.system.command import run

_MOST_MOVES = 5
_MOVED = frozenset({301, 302, 303, 307, 308})


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
        return _run(check, target)
    except (OSError, http.client.HTTPException, AgentError) as error:
        where = f"{target.host}:{target.port}: " if target.port else ""
        return ProbeResult(status=Status.CRITICAL, output=f"{where}{error}"[: check.output_max_size])


def _run(check: Check, target: ProbeTarget) -> ProbeResult:
    match check.type:
        case CheckType.HTTP:
            return _probe_http(check, target)
        case CheckType.TCP:
            return _probe_tcp(check, target)
        case CheckType.UDP:
            return _probe_udp(check, target)
        case CheckType.SCRIPT:
            return _probe_command(check, target.command, target)
        case CheckType.DOCKER:
            return _probe_command(check, ("docker", "exec", check.target, *target.command), target)
        case CheckType.OS_SERVICE:
            return _probe_unit(check)
        case CheckType.GRPC | CheckType.H2PING:
            return _probe_http2(check, target)
        case CheckType.TTL | CheckType.ALIAS:
            return ProbeResult(status=Status.PASSING, output=f"{check.type}: judged by the daemon")
        case _ as never:
            assert_never(never)


def _probe_http2(check: Check, target: ProbeTarget) -> ProbeResult:
    try:
        from agent.system import probe_http2  # noqa: PLC0415 - only these two types need the extra

        ask = probe_http2.probe_grpc if check.type is CheckType.GRPC else probe_http2.probe_ping
        return ask(check, target.host, target.port or 0)
    except ModuleNotFoundError:
        words = f"a {check.type} check needs: pip install 'refnet-agent[http2]'"
        return ProbeResult(status=Status.CRITICAL, output=words)


def _probe_tcp(check: Check, target: ProbeTarget) -> ProbeResult:
    seconds = check.timeout.total_seconds()
    with socket.create_connection((target.host, target.port or 0), seconds) as connection:
        if check.tls:
            _trusting_context().wrap_socket(connection).close()
    return ProbeResult(status=Status.PASSING, output=f"connected to {target.host}:{target.port}")


def _probe_udp(check: Check, target: ProbeTarget) -> ProbeResult:
    """Send one datagram: any answer passes, and so does silence; only a refusal is critical (Consul's rule)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(check.timeout.total_seconds())
        sender.connect((target.host, target.port or 0))
        sender.send((check.body or "ping").encode())
        try:
            answer = sender.recv(4096)
        except TimeoutError:
            return ProbeResult(status=Status.PASSING, output="no answer, no refusal")
    return ProbeResult(status=Status.PASSING, output=f"{len(answer)} bytes back")


def _probe_unit(check: Check) -> ProbeResult:
    """Ask systemd for a unit: active passes, on its way is a warning, anything else is critical."""
    command = ("systemctl", "show", "--property=LoadState,ActiveState,SubState", check.unit)
    done = run(command, timeout=check.timeout.total_seconds(), check=False)
    if done.code != 0:
        return ProbeResult(status=Status.CRITICAL, output=f"systemd does not answer: {done.said[:200]}")
    found = dict(line.partition("=")[::2] for line in done.output.splitlines())
    state = found.get("ActiveState", "unknown")
    status = {"active": Status.PASSING, "activating": Status.WARNING, "reloading": Status.WARNING}.get(state)
    words = f"{check.unit} is {state} ({found.get('SubState', '?')}), {found.get('LoadState', '?')}"
    return ProbeResult(status=status or Status.CRITICAL, output=words)


def _trusting_context() -> ssl.SSLContext:
    # A health check asks whether the listener answers; whom it trusts is the certificate check's business.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _probe_http(check: Check, target: ProbeTarget) -> ProbeResult:
    path, moves = check.path, 0
    while True:
        status, reason, body, location = _ask(check, target, path)
        if location is None or check.disable_redirects or moves == _MOST_MOVES:
            break
        path, moves = location, moves + 1
    output = f"{check.method} {path}: {status} {reason}: {body}"[: check.output_max_size]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProbeResult(status=Status.WARNING, output=output)
    good = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and _body_agrees(check, body)
    return ProbeResult(status=Status.PASSING if good else Status.CRITICAL, output=output)


def _ask(check: Check, target: ProbeTarget, path: str) -> tuple[int, str, str, str | None]:
    """Return status, reason, body, and where on this same address it is moved to."""
    timeout = check.timeout.total_seconds()
    connection: http.client.HTTPConnection
    if check.tls:
        context = _trusting_context()
        connection = http.client.HTTPSConnection(target.host, target.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout)
    try:
        headers = {"User-Agent": "refnet-agent check", "Connection": "close", **check.headers}
        connection.request(check.method, path, body=check.body.encode() or None, headers=headers)
        answer = connection.getresponse()
        body = answer.read(65536).decode(errors="replace")
        moved = answer.headers.get("Location", "") if answer.status in _MOVED else ""
    finally:
        connection.close()
    return answer.status, answer.reason, body, moved if moved.startswith("/") and moved[:2] != "//" else None


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


def _probe_command(check: Check, command: tuple[str, ...], target: ProbeTarget) -> ProbeResult:
    """Run it to its end; at the timeout the whole subtree is killed, wherever it hid."""
    seconds = check.timeout.total_seconds()
    try:
        environment, user = target.environment, target.user
        done = run(command, timeout=seconds, environment=environment, user=user, directory="/", check=False)
    except CommandTimedOut as error:
        output = f"Timed out ({seconds:g}s) running check\n{error.said}"
        return ProbeResult(status=Status.CRITICAL, output=_tail(output, check.output_max_size), decisive=True)
    except AgentError as error:
        return ProbeResult(status=Status.CRITICAL, output=error.message, decisive=True)
    status = {0: Status.PASSING, 1: Status.WARNING}.get(done.code, Status.CRITICAL)
    output = _tail((done.output + done.error).strip(), check.output_max_size)
    if check.body_match is not None and status is Status.PASSING and not re.search(check.body_match, output):
        return ProbeResult(status=Status.CRITICAL, output=f"{check.body_match!r} is not in: {output}")
    return ProbeResult(status=status, output=output or f"exit {done.code}")


def _tail(text: str, most: int) -> str:
    """Keep the end, as Consul does: what a script said last is what it died of."""
    size = len(text.encode())
    if size <= most:
        return text
    return f"Captured {most} of {size} bytes\n...\n" + text.encode()[-most:].decode(errors="replace")
