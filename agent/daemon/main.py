"""The daemon's process: open the newest release, watch it, answer at the socket, and leave on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import Any

from agent.daemon import control
from agent.daemon.chronicle import Chronicle
from agent.daemon.loop import Daemon, describe
from agent.daemon.metrics import Metrics
from agent.daemon.metrics_server import MetricsServer
from agent.daemon.notifier import Notifier
from agent.daemon.schedule import Scheduler
from agent.errors import AgentError
from agent.model.home import Home
from agent.operations.opening import open_release
from agent.operations.periodic_metrics import periodic_families
from agent.operations.runs import Runs
from agent.system.database import Database
from agent.system.files import ensure_directory
from agent.system.notify import notify_manager

_ALREADY_THERE = 75
_NO_RELEASE = 78


def main(words: list[str] | None = None) -> int:
    """Watch the home named on the command line until asked to leave; 75 when another daemon watches it."""
    home = Home(root=Path((sys.argv[1:] if words is None else words)[0]).resolve())
    os.umask(0o077)
    ensure_directory(home.daemon, mode=0o700)
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context((home.daemon / "lock").open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another daemon watches {home.root}", file=sys.stderr)
            return _ALREADY_THERE
        try:
            asyncio.run(_watch(home))
        except AgentError as error:
            print(f"error: {error.message}", file=sys.stderr)
            return _NO_RELEASE
    return 0


async def _watch(home: Home) -> None:
    database = Database(home.database)
    daemon = Daemon(open_release(home), database)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        match request["verb"]:
            case "status":
                return {"daemon": describe(daemon)}
            case other:
                raise ValueError(f"unknown verb {other!r}")

    server = await control.serve(home.daemon_socket, answer)
    runs = Runs(home, database)
    metrics = Metrics(daemon, lambda: periodic_families(daemon.stack, runs))
    beside = (
        asyncio.create_task(MetricsServer(daemon, metrics).run()),
        asyncio.create_task(Scheduler(daemon, runs).run()),
        asyncio.create_task(Chronicle(daemon).run()),
        asyncio.create_task(Notifier(daemon).run()),
    )
    notify_manager("READY=1")
    try:
        await daemon.run()
    finally:
        notify_manager("STOPPING=1")
        for task in beside:
            task.cancel()
        server.close()
        home.daemon_socket.unlink(missing_ok=True)
        database.close()


if __name__ == "__main__":
    sys.exit(main())
