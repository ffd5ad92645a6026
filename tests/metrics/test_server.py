"""The daemon's metrics port: what it serves, to whom, and what happens when it cannot."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.daemon.conftest import Watched, wait_until
from tests.metrics.test_host import Samples, parse


@pytest.fixture
def port(free_offset: Callable[[int], int]) -> int:
    """A free port for the metrics."""
    return free_offset(0)


def ask(
    port: int, path: str = "/metrics", *, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def is_open(port: int) -> bool:
    """Whether something answers there."""
    try:
        return ask(port, "/-/healthy")[0] == 200
    except OSError:
        return False


def scrape(port: int) -> Samples:
    """Return every sample."""
    return parse(ask(port)[2].decode())


def test_one_page_has_the_host_the_services_and_the_daemon(watched: Watched, port: int) -> None:
    """A service that fails its check is not up, and desired says that it should be."""
    watched.apply(watched.service("web", 0, check_restart={"limit": 0}), daemon={"metrics_port": port})
    assert wait_until(lambda: is_open(port))
    web = frozenset({("service", "web")})
    assert wait_until(lambda: scrape(port).get(("refnet_service_up", web)) == 1.0)

    watched.answer("web-1", 500)

    assert wait_until(lambda: scrape(port)["refnet_service_up", web] == 0.0)
    found = scrape(port)
    assert found["refnet_service_desired", web] == 1.0
    assert found["refnet_service_restarts_total", web] == 0.0
    check = frozenset({("service", "web"), ("instance", "web-1"), ("check", "health")})
    assert found["refnet_check_status", check] == 2.0
    assert found["refnet_instance_memory_bytes", frozenset({("service", "web"), ("instance", "web-1")})] > 1e6
    assert found["refnet_daemon_cycle_duration_seconds_count", frozenset()] > 0
    assert found["refnet_daemon_check_results_total", frozenset()] > 0
    assert found["node_load1", frozenset()] >= 0
    assert found["process_resident_memory_bytes", frozenset()] > 1e6
    checked = subprocess.run(("promtool", "check", "metrics"), input=ask(port)[2], capture_output=True, check=False)
    assert not [line for line in checked.stderr.decode().splitlines() if "refnet_" in line]
    assert f"127.0.0.1:{port}/metrics" in watched.agent.run("status", "--metrics-address")


def test_it_is_read_only_and_speaks_as_prometheus_asks(watched: Watched, port: int) -> None:
    """GET and HEAD of two pages; formats and compression by the request's headers."""
    watched.apply(watched.service("web", 0), daemon={"metrics_port": port})
    assert wait_until(lambda: is_open(port))

    assert ask(port, method="POST")[0] == 405
    assert ask(port, "/")[0] == 404
    status, headers, body = ask(port, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 10_000
    _, headers, body = ask(port, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"node_load1 " in gzip.decompress(body)
    _, headers, body = ask(port, Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_twenty_scrapes_at_once_cost_one_collection(watched: Watched, port: int) -> None:
    """All get the same moment."""
    watched.apply(watched.service("web", 0), daemon={"metrics_port": port})
    assert wait_until(lambda: is_open(port))

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(scrape, [port] * 20))

    times = {each["node_time_seconds", frozenset()] for each in found}
    assert len(times) <= 2  # 2 when the second of the cache ends among them


def test_a_taken_port_is_told_once_and_tried_again(watched: Watched, port: int) -> None:
    """A stranger on the port costs the metrics until it leaves, and nothing else."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        watched.apply(watched.service("web", 0), daemon={"metrics_port": port})
        assert wait_until(lambda: bool(watched.events("metrics-unavailable")))
        pid = watched.instances()["web-1"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert wait_until(lambda: watched.instances()["web-1"]["pid"] not in {pid, None})
        assert str(port) in watched.events("metrics-unavailable")[0]["cause"]
        assert f"pid {os.getpid()}" in watched.events("metrics-unavailable")[0]["cause"]

    assert wait_until(lambda: is_open(port))
    assert len(watched.events("metrics-unavailable")) == 1
    assert len(watched.events("metrics-available")) == 1


def test_another_port_in_a_new_release_is_taken_at_once(
    watched: Watched, port: int, free_offset: Callable[[int], int]
) -> None:
    """The page moves with the release, without a restart of the daemon."""
    watched.apply(watched.service("web", 0), daemon={"metrics_port": port})
    assert wait_until(lambda: is_open(port))
    pid = watched.daemon_pid()
    other = free_offset(0)

    watched.apply(watched.service("web", 0), daemon={"metrics_port": other})

    assert wait_until(lambda: is_open(other))
    assert not is_open(port)
    assert watched.daemon_pid() == pid


def test_prometheus_scrapes_the_agent(watched: Watched, port: int, free_offset: Callable[[int], int]) -> None:
    """The catalogue's Prometheus finds the daemon by itself: the target is up and dashboards find the host."""
    prometheus = free_offset(0)
    text = f"  prometheus: {json.dumps({'ports': {'http': prometheus}})}\n"
    watched.apply(watched.service("web", 0), text, daemon={"metrics_port": port})

    def query(words: str) -> list[dict[str, object]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{prometheus}/api/v1/query?query={words}", timeout=10) as answer:
            found: list[dict[str, object]] = json.loads(answer.read())["data"]["result"]
            return found

    def is_up() -> bool:
        found = query("up{job=%22node%22}")
        return bool(found) and found[0]["value"][1] == "1"  # type: ignore[index]

    assert wait_until(is_up, seconds=40)
    assert query("node_uname_info{job=%22node%22}")
