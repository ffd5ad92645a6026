"""Checks over HTTP/2, against a real gRPC server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from agent.model.check import Check, CheckType, Status
from agent.security.authority import create_authority, issue
from agent.system.probe import ProbeTarget, probe
from tests.why.conftest import free_port

SECONDS = timedelta(seconds=3)


class Server:
    """A gRPC server with a health service, plain and encrypted."""

    def __init__(self) -> None:
        self.health = health.HealthServicer()
        self.server = grpc.server(ThreadPoolExecutor(max_workers=2))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        now = datetime.now(UTC)
        authority = create_authority("test", now=now)
        leaf = issue(authority, ("localhost",), now=now)
        credentials = grpc.ssl_server_credentials([(leaf.key, leaf.certificate)])
        self.tls_port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def set(self, name: str, status: int) -> None:
        """Let the health service say this of a service."""
        self.health.set(name, status)


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    made = Server()
    yield made
    made.server.stop(None)


def look(kind: CheckType, port: int, *, service: str = "", tls: bool = False) -> tuple[Status, str]:
    """Return status and words of one look."""
    check = Check(type=kind, grpc_service=service, tls=tls, timeout=SECONDS)
    result = probe(check, ProbeTarget(host="127.0.0.1", port=port))
    return result.status, result.output


def test_a_server_that_serves_passes_and_one_that_does_not_is_critical(server: Server) -> None:
    """By the health service's own words, for the whole and for one service."""
    server.set("", health_pb2.HealthCheckResponse.SERVING)
    server.set("papers", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert look(CheckType.GRPC, server.port) == (Status.PASSING, "the server is SERVING")
    assert look(CheckType.GRPC, server.port, service="papers") == (Status.CRITICAL, "papers is NOT_SERVING")
    status, words = look(CheckType.GRPC, server.port, service="nobody")
    assert (status, "gRPC status 5" in words) == (Status.CRITICAL, True)


def test_both_checks_go_through_tls(server: Server) -> None:
    """With ALPN."""
    server.set("", health_pb2.HealthCheckResponse.SERVING)
    assert look(CheckType.GRPC, server.tls_port, tls=True)[0] is Status.PASSING
    assert look(CheckType.H2PING, server.tls_port, tls=True)[0] is Status.PASSING


def test_a_ping_needs_no_health_service(server: Server) -> None:
    """Any HTTP/2 server acknowledges it."""
    assert look(CheckType.H2PING, server.port)[0] is Status.PASSING


def test_nobody_there_and_another_protocol_are_critical_with_their_reason() -> None:
    """Refused; an HTTP/1 server; both in time."""
    assert "refused" in look(CheckType.H2PING, free_port())[1]
    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    try:
        for kind in (CheckType.H2PING, CheckType.GRPC):
            status, words = look(kind, plain.server_address[1])
            assert status is Status.CRITICAL
            assert "HTTP/2" in words or "closed" in words or "timed out" in words
    finally:
        plain.shutdown()
        plain.server_close()
