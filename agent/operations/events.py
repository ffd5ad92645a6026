"""Recorded facts with their causes, shared with the keepers: one JSON object a line, appended whole.

The file is kept to two of at most 10 MiB: who appends and finds it longer moves it aside as `events.jsonl.1`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LIMIT = 4000
_FILE_BYTES = 10 * 1024 * 1024
_FOLLOW_SECONDS = 0.2


def record(path: Path, *, kind: str, service: str = "", instance: str = "", cause: str = "", detail: str = "") -> None:
    """Append one event; a full disk loses the event, never the action."""
    event = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "service": service,
        "instance": instance,
        "kind": kind,
        "cause": cause,
        "detail": detail[:_LIMIT],
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, json.dumps(event, ensure_ascii=False).encode() + b"\n")
        if os.fstat(descriptor).st_size > _FILE_BYTES:
            _move_aside(path, descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def read(path: Path, *, services: frozenset[str] = frozenset(), lines: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the last events, of these services or of all, oldest first; a torn line is skipped."""
    found = (event for event in _everything(path) if not services or event.get("service") in services)
    yield from found if lines is None else deque(found, maxlen=lines)


def follow(path: Path, *, services: frozenset[str], lines: int) -> Iterator[dict[str, Any]]:
    """Yield the last events and then those that come, over rotations, until the caller stops asking."""
    while not path.exists():
        time.sleep(_FOLLOW_SECONDS)
    stream = path.open("rb")
    try:
        # What is whole now is old; what follows it is new, whenever it is completed.
        stream.seek(stream.read().rfind(b"\n") + 1)
        yield from read(path, services=services, lines=lines)
        begun = b""
        while True:
            begun += stream.readline()
            if begun.endswith(b"\n"):
                event, begun = _parse(begun), b""
                if event is not None and (not services or event.get("service") in services):
                    yield event
            elif _was_replaced(path, stream.fileno()):
                # Its last writer may have been between opening and writing when it was moved.
                if rest := stream.readline():
                    begun += rest
                    continue
                stream.close()
                stream = path.open("rb")
            else:
                time.sleep(_FOLLOW_SECONDS)
    finally:
        stream.close()


def _everything(path: Path) -> Iterator[dict[str, Any]]:
    for each in (path.with_name(f"{path.name}.1"), path):
        with contextlib.suppress(FileNotFoundError), each.open("rb") as stream:
            for line in stream:
                if (event := _parse(line)) is not None:
                    yield event


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _move_aside(path: Path, descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # The daemon's keeper appends through a link, which must go on to lead to the one file.
    real = path.resolve()
    if not _was_replaced(real, descriptor):
        real.rename(real.with_name(f"{real.name}.1"))


def _was_replaced(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
