"""One changer of a home at a time; the kernel frees the lock of a dead holder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import Busy

DAEMON = "the daemon"
_POLL_SECONDS = 0.1
_SHORT_SECONDS = 10.0


@contextmanager
def hold(path: Path, *, message: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock while the body runs; raise Busy, naming the holder, after `wait` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, wait=wait)
        holder = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds"), "message": message}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, *, wait: float) -> None:
    start = time.monotonic()
    deadline = start + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < (deadline if not _is_short(descriptor) else max(deadline, start + _SHORT_SECONDS)):
                time.sleep(_POLL_SECONDS)
                continue
            raise Busy(_holder(descriptor), hint="wait for it with --lock-wait 5m") from None
        return


def _is_short(descriptor: int) -> bool:
    """Whether the holder lets go by itself in a moment: the daemon holds it only to decide on one restart."""
    return DAEMON.encode() in os.pread(descriptor, 4096, 0)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"{holder['message']} is running as pid {holder['pid']} since {holder['since']}"
    except (ValueError, KeyError):
        return "another command is changing this home"
