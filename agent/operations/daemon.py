"""Start, renew, end and ask the daemon; it runs on its services' engine, in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import agent
from agent.engine.base import Engine
from agent.engine.process import ProcessEngine
from agent.model.home import Home
from agent.model.instance import InstanceState, Launch, ObservedInstance
from agent.operations.engines import open_daemon_engine
from agent.system.files import ensure_directory
from agent.system.notify import watchdog_seconds

INSTANCE = "daemon-1"
_ANSWER_SECONDS = 2.0
_WATCHDOG_SECONDS = 30.0
_ALIVE = frozenset({InstanceState.STARTING, InstanceState.RUNNING, InstanceState.BACKOFF})


def ensure_daemon(home: Home, *, wanted: bool) -> None:
    """Make the daemon run with this version of the agent, or not at all; one that does so already is left alone."""
    engine = open_daemon_engine(home)
    if not wanted:
        remove_daemon(home)
        return
    launch = daemon_launch(home)
    if not isinstance(engine, ProcessEngine):
        launch = replace(launch, watchdog=_WATCHDOG_SECONDS)
    seen = _seen(engine)
    if seen is not None and seen.digest == launch.digest and seen.state in _ALIVE and seen.keeper_alive:
        return
    ensure_directory(home.daemon, mode=0o700)
    events = home.daemon / "events.jsonl"
    if not events.is_symlink():
        events.unlink(missing_ok=True)
        events.symlink_to(home.events)
    engine.start(launch)


def keep_own_keeper(home: Home) -> bool:
    """In the daemon: have a new keeper adopt us when ours died; whether that was so."""
    if watchdog_seconds() is not None:
        return False  # a service manager looks after us
    engine = open_daemon_engine(home)
    seen = _seen(engine)
    if seen is None or seen.keeper_alive or seen.pid != os.getpid():
        return False
    # As we were started, not as we would be today: an agent that was upgraded meanwhile must not end us here.
    engine.start(replace(daemon_launch(home), digest=seen.digest, fields=seen.fields))
    return True


def remove_daemon(home: Home) -> None:
    """End the daemon and its keeper; what they watched goes on."""
    engine = open_daemon_engine(home)
    if _seen(engine) is not None:
        engine.remove(INSTANCE)


def daemon_launch(home: Home) -> Launch:
    """Return how the daemon is run: by this Python, from this copy of the agent."""
    package = Path(agent.__file__).parent
    command = (sys.executable, "-m", "agent.daemon.main", str(home.root))
    environment = {
        "PYTHONPATH": str(package.parent),
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
    }
    fields = {"command": " ".join(command), "agent": _package_digest(package)}
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    return Launch(
        instance=INSTANCE,
        service="daemon",
        command=command,
        directory="/",
        whole_tree=False,
        environment=environment,
        log_path=str(home.logs / "daemon.log"),
        digest=digest,
        fields=fields,
    )


def ask_daemon(home: Home, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the daemon's answer, None when there is no daemon or it does not answer in time."""
    try:
        folder = os.open(home.daemon, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(f"/proc/self/fd/{folder}/{home.daemon_socket.name}")
            connection.sendall(json.dumps({"version": 1, **request}).encode() + b"\n")
            with connection.makefile("rb") as reader:
                answer = json.loads(reader.readline())
    except (OSError, ValueError):
        return None
    finally:
        os.close(folder)
    return answer if isinstance(answer, dict) and answer.get("ok") else None


def _seen(engine: Engine) -> ObservedInstance | None:
    return next((each for each in engine.observe() if each.instance == INSTANCE), None)


def _package_digest(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found = path.stat()
        digest.update(f"{path.relative_to(package)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
