"""Read back what keepers wrote: rotated files in order, the last lines first, and what comes next."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.model.instance import LogLine

FOLLOW_EVERY = 0.1
STAMP_CHARACTERS = 32


def log_files(path: Path) -> list[Path]:
    """Return the log and its rotated files, oldest first."""
    rotated = [
        (int(candidate.name[len(path.name) + 1 :]), candidate)
        for candidate in path.parent.glob(f"{path.name}.*")
        if candidate.name[len(path.name) + 1 :].isdigit()
    ]
    return [candidate for _, candidate in sorted(rotated, reverse=True)] + ([path] if path.exists() else [])


class _Lines:
    """Turns raw lines into LogLines; one without a stamp belongs to the moment before it."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._at = datetime.fromtimestamp(0, UTC)

    def parse(self, raw: bytes) -> LogLine:
        text = raw.rstrip(b"\n").decode(errors="replace")
        try:
            self._at = datetime.fromisoformat(text[:STAMP_CHARACTERS])
            text = text[STAMP_CHARACTERS + 1 :]
        except ValueError:
            pass
        return LogLine(at=self._at, instance=self._instance, text=text)


def _whole_lines(paths: list[Path]) -> Iterator[bytes]:
    """Yield every line; one that a rotation cut in two is joined again."""
    begun = b""
    for path in paths:
        try:
            with path.open("rb") as stream:
                for raw in stream:
                    begun += raw
                    if begun.endswith(b"\n"):
                        yield begun
                        begun = b""
        except FileNotFoundError:
            continue
    if begun:
        yield begun


def read(path: Path, instance: str, *, lines: int | None, since: datetime | None) -> Iterator[LogLine]:
    """Yield what is in the files now: the last `lines` of what is not older than `since`."""
    parser = _Lines(instance)
    wanted = (line for line in map(parser.parse, _whole_lines(log_files(path))) if since is None or line.at >= since)
    yield from wanted if lines is None else deque(wanted, maxlen=lines)


def follow(path: Path, instance: str, *, lines: int | None, since: datetime | None) -> Iterator[LogLine]:
    """Yield what is there and then what comes, over rotations, until the caller stops asking."""
    while not path.exists():
        time.sleep(FOLLOW_EVERY)
    parser = _Lines(instance)
    stream = path.open("rb")
    try:
        stream.seek(0, os.SEEK_END)
        # Only whole lines are old ones: an unfinished one is read again when it is complete.
        end = stream.tell()
        stream.seek(0)
        complete = stream.read(end).rfind(b"\n") + 1
        stream.seek(complete)
        if lines != 0:
            yield from read(path, instance, lines=lines, since=since)
        begun = b""
        while True:
            begun += stream.readline()
            if begun.endswith(b"\n"):
                yield parser.parse(begun)
                begun = b""
            elif not _was_replaced(path, stream.fileno()):
                time.sleep(FOLLOW_EVERY)
            else:
                rest = stream.readline()
                begun += rest
                if not rest:
                    stream.close()
                    stream = path.open("rb")
    finally:
        stream.close()


def _was_replaced(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
