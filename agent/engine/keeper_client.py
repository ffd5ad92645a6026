"""The agent's side of a keeper: start one, ask one, see whether one lives."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from agent.engine.keeper import processes
from agent.engine.keeper.control import SOCKET
from agent.engine.keeper.main import KEEPER_LOCK
from agent.engine.keeper.record import RECORD, VERSION
from agent.errors import EngineFailed

START_DEADLINE = 10.0
ANSWER_DEADLINE = 5.0
STATUS_DEADLINE = 1.0
POLL_EVERY = 0.005
TAIL_BYTES = 2000


class KeeperSilent(EngineFailed):
    """There is no keeper on this socket, or it does not answer."""


def _connect(directory: Path, timeout: float) -> socket.socket:
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        # Through the descriptor, because a socket's address holds no more than 107 bytes.
        connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _exchange(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    connection.sendall(json.dumps({"version": VERSION, **request}).encode() + b"\n")
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionResetError("the keeper hung up")
        received += chunk
    reply: dict[str, Any] = json.loads(received)
    if not reply["ok"]:
        raise EngineFailed(f"the keeper refused {request['op']}: {reply['error']}")
    return reply


def ask(directory: Path, operation: str, *, to_the_end: bool = False, **arguments: Any) -> dict[str, Any]:
    """Return the keeper's record after one request; `to_the_end` returns when the keeper has exited."""
    try:
        with _connect(directory, STATUS_DEADLINE if operation == "status" else ANSWER_DEADLINE) as connection:
            reply = _exchange(connection, {"op": operation, **arguments})
            if to_the_end:
                # The stop timeout may be hours, so there is no deadline here: the keeper has its own.
                connection.settimeout(None)
                while connection.recv(4096):
                    pass
    except (OSError, ValueError) as error:
        raise KeeperSilent(f"{directory.name}: no answer from the keeper: {error}") from error
    record: dict[str, Any] = reply["record"]
    return record


def end_frozen(directory: Path) -> bool:
    """Wake a keeper that is there but does not answer, and return whether it woke up.

    One that stays silent is killed: its service goes on, and another keeper can adopt it.
    """
    if not is_alive(directory) or _answers(directory):
        return False
    try:
        written = json.loads((directory / RECORD).read_bytes())
        pidfd = processes.open_identity(int(written["keeper_pid"]), int(written["keeper_ticks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        if _answers(directory):
            return True
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], ANSWER_DEADLINE)
    except ProcessLookupError:
        pass  # it ended by itself
    finally:
        os.close(pidfd)
    return False


def _answers(directory: Path) -> bool:
    try:
        ask(directory, "status")
    except EngineFailed:
        return False
    return True


def is_alive(directory: Path) -> bool:
    """Return whether a keeper holds this instance, whether or not it answers."""
    try:
        descriptor = os.open(directory / KEEPER_LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_gone(directory: Path, *, deadline: float = START_DEADLINE) -> None:
    """Wait until a keeper that is about to exit has let go of its lock."""
    end = time.monotonic() + deadline
    while is_alive(directory):
        if time.monotonic() > end:
            raise EngineFailed(f"{directory.name}: the keeper does not exit", hint="see keeper.log in its folder")
        time.sleep(POLL_EVERY)


def spawn(directory: Path, *, goal: str, cause: str) -> None:
    """Start a keeper in its own session and return once it has taken charge (or already finished)."""
    start_id = secrets.token_hex(8)
    package_parent = str(Path(__file__).resolve().parents[2])
    program = (
        f"import sys; sys.path.append({package_parent!r}); "
        "from agent.engine.keeper.main import main; main(sys.argv[1:])"
    )
    words = [sys.executable, "-I", "-S", "-c", program, str(directory), goal, cause, start_id]
    with (directory / "keeper.log").open("ab") as log:
        position = log.tell()
        result = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
            check=False,
            timeout=START_DEADLINE,
        )
    if result.returncode:
        tail = _tail(directory, position)
        raise EngineFailed(f"{directory.name}: the keeper did not start (exit {result.returncode}): {tail}")
    _await_charge(directory, start_id, position)


def _await_charge(directory: Path, start_id: str, position: int) -> None:
    end = time.monotonic() + START_DEADLINE
    while time.monotonic() < end:
        try:
            if json.loads((directory / RECORD).read_bytes()).get("start_id") == start_id:
                return
        except (OSError, ValueError):
            pass
        if not is_alive(directory):
            # It may have finished between the two looks: its last record decides.
            if (directory / RECORD).exists() and start_id.encode() in (directory / RECORD).read_bytes():
                return
            raise EngineFailed(f"{directory.name}: the keeper died at once: {_tail(directory, position)}")
        time.sleep(POLL_EVERY)
    raise EngineFailed(f"{directory.name}: no keeper after {START_DEADLINE:g} s: {_tail(directory, position)}")


def _tail(directory: Path, position: int) -> str:
    with (directory / "keeper.log").open("rb") as log:
        log.seek(position)
        return log.read()[-TAIL_BYTES:].decode(errors="replace").strip() or "keeper.log is empty"
