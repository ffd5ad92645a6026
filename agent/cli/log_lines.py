"""Lines of several instances as one stream, each with a coloured prefix."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from agent.cli.terminal import colour, columns, cycle_colour, printable
from agent.engine.base import Engine
from agent.model.instance import LogLine

_SETTLE_SECONDS = 0.3
_NARROW = 60


class Prefix:
    """Puts time and instance before each line; every instance keeps its colour."""

    def __init__(self, instances: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(instances)}
        self._width = max(map(len, instances), default=0)
        self._short = (columns() or _NARROW) < _NARROW

    def before(self, line: LogLine) -> str:
        """Return the line with its prefix; a narrow terminal gets the time without its date."""
        at = f"{line.at.astimezone():%H:%M:%S}" if self._short else f"{line.at.astimezone():%Y-%m-%d %H:%M:%S}"
        name = cycle_colour(f"{line.instance:<{self._width}} |", self._numbers.get(line.instance, 0))
        return f"{colour(at, 'dim')} {name} {printable(line.text)}"


def merge(engine: Engine, instances: Sequence[str], lines: int | None, since: datetime | None) -> Iterator[LogLine]:
    """Yield what was written until now, oldest first."""
    streams = [engine.logs(name, lines=lines, since=since, follow=False) for name in instances]
    return heapq.merge(*streams, key=lambda line: line.at)


def follow(engine: Engine, instances: Sequence[str], lines: int | None, since: datetime | None) -> Iterator[LogLine]:
    """Yield what was written, in order, and then what comes, until the caller stops asking."""
    waiting: queue.Queue[LogLine] = queue.Queue(maxsize=10_000)

    def read(name: str) -> None:
        for line in engine.logs(name, lines=lines, since=since, follow=True):
            waiting.put(line)

    for name in instances:
        threading.Thread(target=read, args=(name,), daemon=True).start()
    # Old lines come from many readers at once: let them settle, and put them in order.
    first = [waiting.get()]
    until = time.monotonic() + _SETTLE_SECONDS
    while (left := until - time.monotonic()) > 0:
        try:
            first.append(waiting.get(timeout=left))
        except queue.Empty:
            break
    yield from sorted(first, key=lambda line: line.at)
    while True:
        yield waiting.get()
