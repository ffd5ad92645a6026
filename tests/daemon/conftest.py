"""The agent of the end-to-end tests, with a daemon to look at."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import PROGRAM, ROOT, Agent, agent, free_offset

__all__ = ["agent", "free_offset"]

SERVER = """
import http.server, os, pathlib, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        file = pathlib.Path(os.environ["FOLDER"], os.environ["INSTANCE"])
        code = int(file.read_text()) if file.exists() else 200
        self.send_response(code); self.end_headers(); self.wfile.write(b"answer " + str(code).encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
"""Answers with the status code written in the file of its instance's name, 200 where there is none."""


def wait_until(true: Callable[[], bool], *, seconds: float = 20) -> bool:
    """Return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return False


class Watched:
    """A stack of small servers whose answers a test decides."""

    def __init__(self, made: Agent, port: int) -> None:
        self.agent = made
        self.port = port
        self.folder = made.file.parent
        self.server = self.folder / "server.py"
        self.server.write_text(SERVER)

    def service(self, name: str, position: int, **more: object) -> str:
        """Return the YAML of one server, checked each second; `more` are further keys of the service."""
        keys: dict[str, object] = {
            "command": ["/usr/bin/python3", str(self.server)],
            "env": {"clear": {"PORT": "${PORT}", "FOLDER": str(self.folder)}},
            "ports": {"http": self.port + position * 10},
            "checks": [{"name": "health", "type": "http", "interval": "1s", "timeout": "1s"}],
            "check_restart": {"limit": 2, "grace": "1s", "ignore_warnings": True},
            **more,
        }
        return f"  {name}: {json.dumps(keys)}\n"

    def apply(self, *services: str, **settings: object) -> None:
        """Apply a stack of these services."""
        rest = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
        self.agent.write(f"name: demo\n{rest}services:\n" + "".join(services))
        self.agent.apply()

    def answer(self, instance: str, code: int) -> None:
        """Let an instance answer with this code from now on."""
        (self.folder / instance).write_text(str(code))

    def status(self) -> dict[str, Any]:
        """Return the status object, whatever the verdict."""
        environment = os.environ | {"REFNET_HOME": str(self.agent.home), "PYTHONPATH": str(ROOT)}
        words = (*PROGRAM, "status", "--json")
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert done.returncode in {0, 2, 3}, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def instances(self) -> dict[str, dict[str, Any]]:
        """Return the instances of the status object by name."""
        return {each["name"]: each for one in self.status()["services"] for each in one["instances"]}

    def daemon_pid(self) -> int | None:
        """Return the daemon's process, None while there is none that answers."""
        found = self.status()["daemon"]
        return int(found["pid"]) if found else None

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of that kind, oldest first."""
        lines = self.agent.run("events", "--json").splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == kind]


@pytest.fixture
def watched(agent: Agent, free_offset: Callable[[int], int]) -> Watched:
    """A stack that a test fills."""
    return Watched(agent, free_offset(0))
