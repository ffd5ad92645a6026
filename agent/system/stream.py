"""Run a command and pass on its output as it comes; at its deadline, or when told, its whole group ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from agent.errors import CommandFailed, CommandMissing
from agent.model.instance import User

_LOOK_SECONDS = 0.2
_TERM_SECONDS = 10.0
_DRAIN_SECONDS = 1.0
_CHUNK = 65536


class Ending(StrEnum):
    """Why it ended: by itself, at its deadline, or because it was told to."""

    ITSELF = "itself"
    TIMEOUT = "timeout"
    STOPPED = "stopped"


def stream(
    command: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    directory: str,
    user: User | None,
    output: Callable[[bytes], None],
    timeout: float,
    stopped: threading.Event,
) -> tuple[int, Ending]:
    """Return the exit code (negative: the signal) and why it ended; stdout and stderr go to `output` in order.

    At the deadline (seconds), or when `stopped` is set, the group gets SIGTERM, and SIGKILL ten seconds later.
    """
    identity: dict[str, object] = {}
    if user is not None and os.geteuid() == 0:
        identity = {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}
    try:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
            **identity,
        )
    except FileNotFoundError as error:
        raise CommandMissing(f"{command[0]} is not on this machine", hint="see: refnet-agent doctor") from error
    except OSError as error:
        raise CommandFailed(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        return _follow(process, output, deadline=time.monotonic() + timeout, stopped=stopped)
    finally:
        if process.returncode is None:
            _signal(process, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def _follow(
    process: subprocess.Popen[bytes], output: Callable[[bytes], None], *, deadline: float, stopped: threading.Event
) -> tuple[int, Ending]:
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    ending = Ending.ITSELF
    kill_at = float("inf")
    is_open = True
    while process.poll() is None:
        if is_open:
            is_open = _pass_on(pipe, output, _LOOK_SECONDS)
        else:
            time.sleep(_LOOK_SECONDS / 10)
        now = time.monotonic()
        if ending is Ending.ITSELF and (stopped.is_set() or now > deadline):
            ending = Ending.STOPPED if stopped.is_set() else Ending.TIMEOUT
            kill_at = now + _TERM_SECONDS
            _signal(process, signal.SIGTERM)
        if now > kill_at:
            _signal(process, signal.SIGKILL)
    # A process it left in the background may hold the pipe for ever: take what is there.
    until = time.monotonic() + _DRAIN_SECONDS
    while is_open and time.monotonic() < until and select.select([pipe], [], [], 0)[0]:
        is_open = _pass_on(pipe, output, 0)
    return process.returncode, ending


def _pass_on(pipe: int, output: Callable[[bytes], None], seconds: float) -> bool:
    """Pass on what comes within that time; False at the end of the stream."""
    if not select.select([pipe], [], [], seconds)[0]:
        return True
    chunk = os.read(pipe, _CHUNK)
    if chunk:
        output(chunk)
    return bool(chunk)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
