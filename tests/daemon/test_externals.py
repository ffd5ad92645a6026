"""What the system needs but does not run is looked at, named step by step, and never restarted."""

from __future__ import annotations

import http.server
import threading

from tests.daemon.conftest import Watched, wait_until


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers 200."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


def test_a_failing_external_degrades_its_users_is_told_once_and_comes_back(watched: Watched) -> None:
    """Its server is gone: degraded, the step is tcp, nobody is restarted; it is back: healthy."""
    outside = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=outside.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{outside.server_port}/"
    known = {"papers": {"url": url, "used_by": ["web"], "interval": "1s", "timeout": "1s"}}
    watched.apply(watched.service("web", 0), externals=known)
    assert wait_until(lambda: [each["status"] for each in watched.status()["externals"]] == ["passing"])
    assert watched.status()["verdict"] == "healthy"

    outside.shutdown()
    outside.server_close()
    assert wait_until(lambda: watched.status()["verdict"] == "degraded")
    found = watched.status()["externals"][0]
    assert (found["status"], found["step"], found["used_by"]) == ("critical", "tcp", ["web"])
    assert watched.instances()["web-1"]["restarts"] == 0

    again = http.server.ThreadingHTTPServer(("127.0.0.1", outside.server_port), Answer)
    threading.Thread(target=again.serve_forever, daemon=True).start()
    assert wait_until(lambda: watched.status()["verdict"] == "healthy")
    assert len(watched.events("external-down")) == 1
    assert len(watched.events("external-up")) == 1
    again.shutdown()
    again.server_close()


def test_a_missing_credential_is_named_with_the_command_that_sets_it(watched: Watched) -> None:
    """No request is sent without it."""
    known = {"papers": {"url": "http://127.0.0.1:9/", "used_by": ["web"], "credential_secret": "PAPERS_KEY"}}
    watched.apply(watched.service("web", 0), externals=known)

    assert wait_until(lambda: [each["status"] for each in watched.status()["externals"]] == ["critical"])
    found = watched.status()["externals"][0]
    assert found["step"] == "credential"
    assert "secret set PAPERS_KEY" in found["detail"]
