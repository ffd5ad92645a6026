"""Each step of reaching an outside service fails under its own name, against real sockets."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.security.authority import create_authority, issue
from agent.system.reach import Destination, Reached, Step, reach


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers with the code in the path; /secret wants a header."""

    def do_GET(self) -> None:
        """Answer."""
        code = int(self.path.strip("/") or 200) if self.path != "/secret" else 200
        if self.path == "/secret" and self.headers.get("Authorization") != "right":
            code = 401
        self.send_response(code)
        self.end_headers()

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[int]:
    """A plain HTTP server; yields its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made.server_port
        made.shutdown()


def look(url: str, **headers: str) -> Reached:
    """Reach it with a short timeout."""
    return reach(Destination(url=url, headers=headers, timeout=1.0))


def test_an_unknown_name_is_dns() -> None:
    """The reserved top level never exists."""
    assert look("http://nothing.invalid/").step is Step.DNS


def test_a_closed_port_is_tcp() -> None:
    """Nobody listens on a port that was free a moment ago."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]

    found = look(f"http://127.0.0.1:{port}/")

    assert found.step is Step.TCP
    assert "refused" in found.detail


def test_a_server_that_never_answers_is_http() -> None:
    """It accepts and is silent."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        assert look(f"http://127.0.0.1:{silent.getsockname()[1]}/").step is Step.HTTP


@pytest.mark.parametrize(
    ("path", "step"),
    [("200", Step.DONE), ("404", Step.DONE), ("401", Step.CREDENTIAL), ("403", Step.CREDENTIAL), ("429", Step.HTTP)],
)
def test_the_answer_decides_the_last_step(server: int, path: str, step: Step) -> None:
    """A 404 is an answer all the same; 401 and 403 are about the credential."""
    assert look(f"http://127.0.0.1:{server}/{path}").step is step


def test_a_credential_is_sent_and_a_wrong_one_is_named(server: int) -> None:
    """The same path, two keys."""
    assert look(f"http://127.0.0.1:{server}/secret", Authorization="right").step is Step.DONE
    assert look(f"http://127.0.0.1:{server}/secret", Authorization="wrong").step is Step.CREDENTIAL


def test_tcp_alone_is_enough_where_asked(server: int) -> None:
    """A tcp:// address is done when it connects."""
    assert look(f"tcp://127.0.0.1:{server}").step is Step.DONE


def test_a_certificate_nobody_trusts_is_tls_and_a_trusted_one_is_done(tmp_path: Path) -> None:
    """Verification is always on."""
    now = datetime.now(UTC)
    authority = create_authority("test", now=now)
    leaf = issue(authority, ("localhost",), now=now)
    (tmp_path / "chain.pem").write_bytes(leaf.certificate + leaf.key)
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as made:
        made.socket = context.wrap_socket(made.socket, server_side=True)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        url = f"https://localhost:{made.server_port}/200"

        untrusted = look(url)
        trusted = reach(Destination(url=url, timeout=1.0, certificates=str(tmp_path / "ca.pem")))
        made.shutdown()

    assert untrusted.step is Step.TLS
    assert trusted.step is Step.DONE
