"""One run of one check of each type, against real sockets and real commands: Consul's meaning of each answer."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.core.health import ProbeResult
from agent.model.check import BodyRule, Check, CheckType, Status
from agent.system.probe import ProbeTarget, probe

SECOND = timedelta(seconds=1)


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers with the code in the path; /moved leads to /200, /body answers JSON, POST echoes."""

    def do_GET(self) -> None:
        """Answer."""
        moved, code = self.path == "/moved", self.path.strip("/")
        self.send_response(302 if moved else int(code) if code.isdigit() else 200)
        if moved:
            self.send_header("Location", "/200")
        self.end_headers()
        self.wfile.write(b'{"status": {"database": "ok"}}' if self.path == "/body" else b"")

    def do_POST(self) -> None:
        """Echo."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers as asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def ask(port: int, path: str, **keys: object) -> ProbeResult:
    """Run one http check."""
    check = Check(type=CheckType.HTTP, path=path, timeout=SECOND, **keys)  # type: ignore[arg-type]
    return probe(check, ProbeTarget(host="127.0.0.1", port=port))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/200", Status.PASSING),
        ("/204", Status.PASSING),
        ("/429", Status.WARNING),
        ("/500", Status.CRITICAL),
        ("/404", Status.CRITICAL),
        ("/moved", Status.PASSING),
    ],
)
def test_an_http_answer(port: int, path: str, status: Status) -> None:
    """2xx passes, 429 warns, everything else fails; redirects are followed."""
    assert ask(port, path).status is status


def test_a_redirect_is_no_success_where_it_is_not_followed(port: int) -> None:
    """302 is not 2xx."""
    assert ask(port, "/moved", disable_redirects=True).status is Status.CRITICAL


def test_a_body_rule_sees_what_the_status_hides(port: int) -> None:
    """Many a /health says unhealthy with status 200."""
    assert ask(port, "/body", json=BodyRule(path="status.database", equals="ok")).status is Status.PASSING
    assert ask(port, "/body", json=BodyRule(path="status.database", equals="no")).status is Status.CRITICAL
    assert ask(port, "/body", json=BodyRule(path="status.missing", equals="ok")).status is Status.CRITICAL
    assert ask(port, "/echo", method="POST", body="hello", body_match="^hel+o$").status is Status.PASSING


def test_nobody_there_is_critical() -> None:
    """Refused, for http and tcp alike; udp hears of it too."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    target = ProbeTarget(host="127.0.0.1", port=port)

    for kind in (CheckType.HTTP, CheckType.TCP, CheckType.UDP):
        result = probe(Check(type=kind, timeout=SECOND), target)
        assert (result.status, "refused" in result.output) == (Status.CRITICAL, True), kind


def test_a_silent_datagram_socket_passes() -> None:
    """Consul's rule: no refusal is enough."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        target = ProbeTarget(host="127.0.0.1", port=silent.getsockname()[1])

        assert probe(Check(type=CheckType.UDP, timeout=SECOND / 5), target).status is Status.PASSING


def script(*words: str, **keys: object) -> ProbeResult:
    """Run one script check."""
    check = Check(type=CheckType.SCRIPT, command=words, timeout=SECOND, **keys)  # type: ignore[arg-type]
    return probe(check, ProbeTarget(host="127.0.0.1", port=None, command=words, environment={"PATH": "/usr/bin:/bin"}))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("exit 0", Status.PASSING),
        ("exit 1", Status.WARNING),
        ("exit 2", Status.CRITICAL),
        ("exit 127", Status.CRITICAL),
        ("kill -9 $$", Status.CRITICAL),
    ],
)
def test_a_scripts_exit_code_is_its_verdict(line: str, status: Status) -> None:
    """0 passes, 1 warns, anything else fails."""
    assert script("sh", "-c", line).status is status


def test_a_script_that_cannot_start_is_critical_at_once() -> None:
    """It skips the thresholds."""
    result = script("/no/such/script")
    assert (result.status, result.decisive) == (Status.CRITICAL, True)


def test_of_much_output_the_end_is_kept() -> None:
    """A megabyte becomes four kilobytes with a mark."""
    result = script("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; echo the end")

    assert result.output.startswith("Captured 4096 of 10000")
    assert result.output.endswith("the end")
    assert len(result.output) < 4200


def test_a_script_over_its_time_is_killed_with_all_it_started(tmp_path: Path) -> None:
    """The child in a session of its own as well; what it said is kept."""
    pids = tmp_path / "pids"
    began = time.monotonic()
    result = script("sh", "-c", f"echo so far; setsid sh -c 'echo $$ >> {pids}; exec sleep 100' & sleep 100")

    assert time.monotonic() - began < 5
    assert (result.status, result.decisive) == (Status.CRITICAL, True)
    assert result.output.startswith("Timed out (1s) running check")
    assert "so far" in result.output
    for pid in pids.read_text().split():
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_units_state_is_asked_of_systemd() -> None:
    """Where systemd is not there, that is what is said."""
    check = Check(type=CheckType.OS_SERVICE, unit="no-such.service", timeout=5 * SECOND)
    result = probe(check, ProbeTarget(host="127.0.0.1", port=None))

    assert result.status is Status.CRITICAL
    assert "systemd does not answer" in result.output or "not-found" in result.output or "not on this" in result.output


def test_a_command_inside_a_container() -> None:
    """By `docker exec`, with a script's meanings."""
    if (
        shutil.which("docker") is None
        or subprocess.run(("docker", "info"), capture_output=True, check=False).returncode
    ):
        pytest.skip("no docker daemon answers")
    check = Check(type=CheckType.DOCKER, target="no-such-container", command=("true",), timeout=5 * SECOND)
    target = ProbeTarget(
        host="127.0.0.1", port=None, command=("true",), environment={"PATH": "/usr/local/bin:/usr/bin"}
    )

    result = probe(check, target)

    assert "No such container" in result.output
    assert result.status is not Status.PASSING
