"""`why` on a running system: the nearest cause, what shows it, and who only suffers."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.daemon.conftest import Watched, wait_until, watched
from tests.e2e.conftest import Agent, agent, free_offset

__all__ = ["agent", "free_offset", "watched"]


def why(system: Agent, *words: str, code: int = 2) -> Any:
    """Return what `why --json` says."""
    return json.loads(system.run("why", *words, "--json", code=code))


def whats(diagnosis: dict[str, Any]) -> str:
    """Return the causes as lines."""
    return "\n".join(f"{cause['subject']} {cause['what']}" for cause in diagnosis["causes"])


def test_nothing_wrong_is_said_in_one_line(watched: Watched) -> None:
    """Exit 0, for a script to ask."""
    watched.apply(watched.service("web", 0))

    assert watched.agent.run("why").strip() == "Nothing is wrong."
    assert why(watched.agent, code=0) == []


def test_a_stopped_database_is_named_as_the_cause_of_what_rests_on_it(
    agent: Agent,
    free_offset: Callable[[int], int],
) -> None:
    """SIGSTOP: found by its state within 30 s, ended by a restart of postgres, the innocent untouched."""
    offset = free_offset(5433)
    check = {"name": "asks", "type": "script", "interval": "1s", "timeout": "2s"}
    question = 'psql -X -q "$DATABASE_URL" -c "select 1" >&2 || exit 2'
    web = {
        "command": ["sleep", "1000"],
        "user": "postgres",
        "env": {"secret": ["DATABASE_URL"]},
        "checks": [{**check, "command": ["sh", "-c", question]}],
        "check_restart": {"limit": 2, "grace": "1s"},
        "depends_on": {"postgres": {"condition": "healthy"}},
    }
    postgres = {"checks": [{"name": "ready", **pg_isready()}], "check_restart": {"limit": 6, "grace": "1s"}}
    agent.write(
        f"name: demo\nport_offset: {offset}\nservices:\n  postgres: {json.dumps(postgres)}\n  web: {json.dumps(web)}\n"
    )
    agent.apply()
    before = agent.pids()
    began = time.monotonic()
    os.kill(before["postgres-1"], signal.SIGSTOP)

    def named() -> bool:
        found = json.loads(agent.look("why", "web", "--json").stdout)
        return "postgres is stopped (SIGSTOP)" in whats(found)

    assert wait_until(named, seconds=30)
    assert time.monotonic() - began < 30
    roots = why(agent)
    assert [each["service"] for each in roots] == ["postgres"]
    assert wait_until(lambda: agent.look("status").returncode == 0, seconds=40)
    after = agent.pids()
    assert after["web-1"] == before["web-1"]
    assert after["postgres-1"] != before["postgres-1"]


def pg_isready() -> dict[str, Any]:
    """Return the catalogue's check, each second."""
    words = ["pg_isready", "-q", "-h", "${HOST}", "-p", "${PORT}", "-t", "1"]
    return {"type": "script", "command": words, "interval": "1s", "timeout": "2s"}


def test_a_service_stopped_by_hand_is_no_riddle(watched: Watched) -> None:
    """It is held, and the fix is start."""
    watched.apply(watched.service("web", 0))
    watched.agent.run("stop", "web")

    found = why(watched.agent, "web")

    assert "held down" in whats(found)
    assert found["causes"][0]["fix"] == "refnet-agent start web"


def test_a_taken_port_names_its_holder(watched: Watched) -> None:
    """A stranger takes the port while the service is away."""
    watched.apply(watched.service("web", 0, restart={"attempts": 1, "interval": "10m", "mode": "fail"}))
    watched.server.rename(watched.server.with_suffix(".away"))
    os.kill(watched.instances()["web-1"]["pid"], signal.SIGKILL)
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "failed")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", watched.port))
        stranger.listen()

        found = why(watched.agent, "web")

    assert "held by another process" in whats(found)
    assert str(os.getpid()) in found["causes"][0]["evidence"][0]


def test_a_command_that_is_gone_is_code_127(watched: Watched) -> None:
    """No signature is needed for what the kernel says."""
    gone = watched.folder / "gone.sh"
    gone.write_text("#!/bin/sh\nexec sleep 1000\n")
    gone.chmod(0o755)
    policy = {"attempts": 1, "interval": "10m", "mode": "fail"}
    watched.apply(watched.service("web", 0, command=[str(gone)], env={}, checks=[], ports={}, restart=policy))
    pid = watched.instances()["web-1"]["pid"]
    gone.unlink()
    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "failed")
    assert "is not there" in whats(why(watched.agent, "web"))


def test_an_out_of_memory_kill_is_named(watched: Watched) -> None:
    """Where the kernel lets us limit memory at all."""
    hog = "import time\nx = []\nfor _ in range(400): x.append(bytearray(1 << 20)); time.sleep(0.005)\ntime.sleep(1000)"
    policy = {"attempts": 1, "interval": "10m", "mode": "fail"}
    watched.agent.write(
        "name: demo\nservices:\n  web: "
        + json.dumps({"command": ["/usr/bin/python3", "-c", hog], "resources": {"memory": 64}, "restart": policy})
        + "\n"
    )
    watched.agent.look("apply", "-f", str(watched.agent.file), "-y")
    if '"limits_by": "none"' in watched.agent.look("status", "--json").stdout:
        pytest.skip("no cgroup limits memory here")

    assert wait_until(lambda: "memory limit" in watched.agent.look("why", "web").stdout)
