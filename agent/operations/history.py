"""The history of events: what the database holds and what still lies in the inbox."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.model.home import Home
from agent.operations.inbox import Inbox
from agent.system.database import Database

_FOLLOW_SECONDS = 0.3
_SHAPE = ("at", "service", "instance", "kind", "cause", "detail")
Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events: of these services or instances and kinds (none: all), not before `since`, the last `lines`."""

    services: Sequence[str] = ()
    kinds: Sequence[str] = ()
    since: datetime | None = None
    lines: int | None = None


class History:
    """The events of one home; reading takes in first what its processes have written meanwhile."""

    def __init__(self, home: Home, database: Database) -> None:
        self._database = database
        self.inbox = Inbox(database, home.events)

    def read(self, wanted: Wanted, *, after: int = 0) -> list[Event]:
        """Return the events wanted with a number above `after`, oldest first."""
        self.inbox.ingest()
        where, values = _condition(wanted, after)
        limit = "" if wanted.lines is None else f" limit {int(wanted.lines)}"
        rows = self._database.query(
            f"select number, because, body from events where {where} order by number desc{limit}", values
        )
        return [_event(*row) for row in reversed(rows)]

    def follow(self, wanted: Wanted) -> Iterator[Event]:
        """Yield the events wanted and then those that come, until the caller stops asking."""
        rows = self.read(wanted)
        yield from rows
        last = self.newest() if not rows else rows[-1]["number"]
        ahead = Wanted(services=wanted.services, kinds=wanted.kinds)
        while True:
            for event in self.read(ahead, after=last):
                yield event
                last = event["number"]
            time.sleep(_FOLLOW_SECONDS)

    def newest(self) -> int:
        """Return the number of the newest event, 0 when there is none."""
        return int(self._database.query("select coalesce(max(number), 0) from events")[0][0])

    def forget(self, *, days: int) -> int:
        """Delete what is older than that and return how many events it was."""
        before = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        return self._database.execute("delete from events where at < ?", (before,))


def _condition(wanted: Wanted, after: int) -> tuple[str, list[object]]:
    parts, values = ["number > ?"], list[object]((after,))
    if wanted.services:
        marks = ", ".join("?" * len(wanted.services))
        parts.append(f"(service in ({marks}) or instance in ({marks}))")
        values += [*wanted.services, *wanted.services]
    if wanted.kinds:
        parts.append(f"kind in ({', '.join('?' * len(wanted.kinds))})")
        values += wanted.kinds
    if wanted.since is not None:
        parts.append("at >= ?")
        values.append(wanted.since.astimezone(UTC).isoformat())
    return " and ".join(parts), values


def _event(number: int, because: int | None, body: str) -> Event:
    event = json.loads(body)
    shape = {name: event.get(name, "") for name in _SHAPE}
    rest = {name: value for name, value in event.items() if name not in shape}
    return {**shape, "number": number, "because": because, **rest}
