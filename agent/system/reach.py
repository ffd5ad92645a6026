"""Reach an outside service step by step, so that a failure says which step: DNS, TCP, TLS, HTTP or the credential."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

from agent.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}


class Step(StrEnum):
    """How far a request came."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    CREDENTIAL = "credential"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Where it ended; `step` is done when the service answered well."""

    step: Step
    detail: str

    @property
    def is_good(self) -> bool:
        """Whether the service can be used."""
        return self.step is Step.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What to reach: http, https or tcp. `certificates` is a file of authorities to trust besides the system's."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    certificates: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; raise ConfigurationError when the URL has none."""
        parts = urlsplit(self.url)
        try:
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            port = None
        if parts.scheme not in {"http", "https", "tcp"} or not parts.hostname or port is None:
            raise ConfigurationError((f"{self.url}: expected http://…, https://… or tcp://host:port",))
        return parts.hostname, port


def reach(destination: Destination) -> Reached:
    """Return how far we came; never raises for what the network does. Blocks for a few timeouts at most.

    A name server that never answers blocks for as long as resolv.conf allows: call it in a thread of its own.
    """
    host, port = destination.address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Reached(step=Step.DNS, detail=f"{host}: {error.strerror or error}")
    connection, problem = _connect([address for *_, address in found], destination.timeout)
    if connection is None:
        return Reached(step=Step.TCP, detail=f"{host}:{port}: {problem}")
    scheme = urlsplit(destination.url).scheme
    with connection:
        if scheme == "tcp":
            return Reached(step=Step.DONE, detail=f"connected to {host}:{port}")
        if scheme == "https":
            try:
                connection = _context(destination).wrap_socket(connection, server_hostname=host)
            except (ssl.SSLError, OSError) as error:
                reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
                return Reached(step=Step.TLS, detail=f"{host}: {reason}")
        with connection:
            return _ask(destination, host, port, connection)


def _connect(addresses: list[tuple[object, ...]], timeout: float) -> tuple[socket.socket | None, str]:
    problem = "no address"
    for address in addresses:
        try:
            return socket.create_connection((str(address[0]), int(str(address[1]))), timeout), ""
        except OSError as error:
            problem = error.strerror or str(error)
    return None, problem


def _context(destination: Destination) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if destination.certificates is not None:
        context.load_verify_locations(destination.certificates)
    return context


def _ask(destination: Destination, host: str, port: int, connection: socket.socket) -> Reached:
    client = http.client.HTTPConnection(host, port, timeout=destination.timeout)
    client.sock = connection
    parts = urlsplit(destination.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        client.request("GET", target, headers={"User-Agent": "refnet-agent", **destination.headers})
        answer = client.getresponse()
        answer.read(4096)
    except (OSError, http.client.HTTPException) as error:
        return Reached(step=Step.HTTP, detail=f"GET {target}: {error or type(error).__name__}")
    said = f"GET {target}: {answer.status} {answer.reason}"
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Reached(step=Step.CREDENTIAL, detail=said)
    # An answer below 500 is the service's own word: it is there, whatever it thinks of this path.
    good = answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status != HTTPStatus.TOO_MANY_REQUESTS
    return Reached(step=Step.DONE if good else Step.HTTP, detail=said)
