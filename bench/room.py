"""Where a benchmark works: a folder of its own, free ports, and an end at which nothing is left."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_FIRST_PORT = 20000
_LAST_PORT = 32000


class OutOfTime(Exception):
    """The benchmark took longer than it may; what it started is cleared away like after any error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A folder that service users can reach; what is put on `leaving` is undone at the end, last first."""

    folder: Path
    quick: bool
    leaving: contextlib.ExitStack

    def few(self, many: int, *, quick: int) -> int:
        """Return how often to repeat."""
        return quick if self.quick else many


@contextlib.contextmanager
def room(*, quick: bool, seconds: int) -> Iterator[Room]:
    """Give a room for at most that long; Ctrl-C, SIGTERM and running out of time all leave it clean."""
    folder = Path(tempfile.mkdtemp(prefix=f"refnet-bench-{os.getpid()}-"))
    folder.chmod(0o711)
    leaving = contextlib.ExitStack()
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    signal.alarm(seconds)
    try:
        yield Room(folder=folder, quick=quick, leaving=leaving)
    finally:
        signal.alarm(0)
        # A second Ctrl-C must not leave half of it running.
        patient = signal.signal(signal.SIGINT, signal.SIG_IGN)
        leaving.close()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGINT, patient)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGALRM:
        raise OutOfTime
    raise KeyboardInterrupt


def free_offset(*bases: int, span: int = 1) -> int:
    """Return a port offset under which `span` ports from each base on are free on loopback."""
    for _ in range(200):
        offset = random.randrange(_FIRST_PORT, _LAST_PORT) - min(bases)
        if all(_is_free(base + offset + number) for base in bases for number in range(span)):
            return offset
    raise OSError("no free ports found on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def end_processes(pids: list[int]) -> None:
    """Kill these processes, those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
