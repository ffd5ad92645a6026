"""Maintenance: checks go on, the daemon restarts nothing, it ends by itself, and the gateway can say so."""

from __future__ import annotations

import json
import os
import signal
import ssl
import urllib.error
import urllib.request
from email.message import Message

from tests.daemon.conftest import Watched, wait_until


def test_nothing_is_restarted_until_it_ends_by_itself_and_a_restarted_daemon_knows(watched: Watched) -> None:
    """The check goes critical, the process stays; six seconds later it is restarted."""
    watched.apply(watched.service("web", 0))
    pid = watched.instances()["web-1"]["pid"]
    watched.agent.run("maintenance", "on", "web", "--reason", "new disk", "--for", "8s")
    os.kill(watched.daemon_pid() or 0, signal.SIGKILL)
    watched.answer("web-1", 500)

    assert wait_until(lambda: bool(watched.events("left-alone")))
    assert watched.instances()["web-1"]["pid"] == pid
    assert watched.events("left-alone")[0]["cause"] == "in maintenance: new disk"
    assert "web is in maintenance" in watched.status()["notes"][0]
    assert watched.events("unhealthy") == []

    assert wait_until(lambda: watched.instances()["web-1"]["pid"] not in {pid, None})
    assert watched.events("maintenance-off")[0]["cause"] == "its time is over"
    assert json.loads(watched.agent.run("maintenance", "list", "--json")) == {"maintenance": []}


def test_the_host_is_put_into_maintenance_and_out_of_it_by_hand(watched: Watched) -> None:
    """`--host` covers every service."""
    watched.apply(watched.service("web", 0))
    pid = watched.instances()["web-1"]["pid"]
    watched.agent.run("maintenance", "on", "--host", "--reason", "moving")
    watched.answer("web-1", 500)
    assert wait_until(lambda: bool(watched.events("left-alone")))
    assert watched.instances()["web-1"]["pid"] == pid

    assert "the whole host is no longer in maintenance" in watched.agent.run("maintenance", "off")

    assert wait_until(lambda: watched.instances()["web-1"]["pid"] not in {pid, None})


def test_wrong_words_are_refused_with_what_to_do(watched: Watched) -> None:
    """No reason, no subject, an unknown service, a page nobody would see."""
    watched.apply(watched.service("web", 0))

    assert "--reason TEXT" in watched.agent.run("maintenance", "on", "web", code=64)
    assert "--host for everything" in watched.agent.run("maintenance", "on", "--reason", "x", code=64)
    assert "did you mean web" in watched.agent.run("maintenance", "on", "wep", "--reason", "x", code=64)
    assert "no route" in watched.agent.run("maintenance", "on", "web", "--reason", "x", "--page", code=64)


def get(port: int, path: str) -> tuple[int, Message, str]:
    """Return code, headers and body of the gateway's answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=context, timeout=5) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_the_gateway_answers_503_with_retry_after_and_the_reason_and_then_the_service_again(watched: Watched) -> None:
    """The reason is text whatever letters it has; the gateway's own health stays green."""
    watched.apply(
        watched.service("web", 0),
        f"  gateway: {{ports: {{https: {watched.port + 30}, http: {watched.port + 31}}}}}\n",
        gateway={"routes": [{"path": "/web/", "to": "web"}]},
    )
    assert get(watched.port + 30, "/web/")[0] == 200

    reason = 'new "disk"; $5 <b> \\ {'
    watched.agent.run("maintenance", "on", "web", "--reason", reason, "--for", "6s", "--page")
    assert wait_until(lambda: get(watched.port + 30, "/web/")[0] == 503, seconds=4)
    _, headers, body = get(watched.port + 30, "/web/")
    assert headers["Retry-After"].endswith("GMT")
    assert "new &quot;disk&quot;; &#36;5 &lt;b&gt; &#92; {" in body
    assert get(watched.port + 30, "/healthz")[0] == 200

    assert wait_until(lambda: get(watched.port + 30, "/web/")[0] == 200)
