"""The queue of notices on disk: what was decided is sent at least once, whoever is killed in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from agent.model.incident import Incident, Notice
from agent.system.database import Database

_TABLES = (
    """create table if not exists notices (
        number integer primary key, key text not null, channel text not null, body text not null,
        made real not null, attempts integer not null default 0, next real not null default 0,
        sent real, error text not null default '', unique (key, channel))""",
    "create index if not exists notices_waiting on notices (channel, sent, next)",
    "create table if not exists incidents (subject text primary key, body text not null) without rowid",
)
_FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0
_GIVEN_UP_SECONDS = 24 * 3600.0
_KEPT_SECONDS = 14 * 24 * 3600.0
_MOST_WAITING = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """One notice for one channel; the moments are wall time in seconds, `sent` None while it waits."""

    number: int
    channel: str
    notice: Notice
    made: float
    attempts: int
    sent: float | None
    error: str


class Queue:
    """The notices and open incidents of one home; the moments it is given are wall time in seconds."""

    def __init__(self, database: Database) -> None:
        self.database = database
        for statement in _TABLES:
            database.execute(statement)

    def add(self, notice: Notice, channel: str, now: float) -> None:
        """Queue it, unless that channel has got the same one already."""
        body = msgspec.json.encode(notice).decode()
        self.database.execute(
            "insert or ignore into notices (key, channel, body, made) values (?, ?, ?, ?)",
            (notice.key, channel, body, now),
        )

    def due(self, channel: str, now: float) -> list[Queued]:
        """Return what waits and may be tried now, oldest first; a clock that was set back delays nothing for long."""
        return self._rows(
            "channel = ? and sent is null and (next <= ? or next > ?) order by number",
            (channel, now, now + 2 * LONGEST_RETRY_SECONDS),
        )

    def waiting(self) -> list[Queued]:
        """Return everything that was not delivered yet, oldest first."""
        return self._rows("sent is null order by number", ())

    def newest(self, count: int) -> list[Queued]:
        """Return the last notices, oldest first."""
        return self._rows("1 order by number desc limit ?", (count,))[::-1]

    def delivered(self, batch: Sequence[Queued], now: float) -> None:
        """Mark as sent; several that went as one have the same moment."""
        for each in batch:
            self.database.execute("update notices set sent = ?, error = '' where number = ?", (now, each.number))

    def refused(self, batch: Sequence[Queued], error: str, now: float, spread: float) -> None:
        """Count a failed attempt and wait: 5 s, doubling up to 10 min, times 1 to 1.25 by `spread` in 0 … 1."""
        for each in batch:
            delay = min(_FIRST_RETRY_SECONDS * 2 ** min(each.attempts, 10), LONGEST_RETRY_SECONDS) * (1 + spread / 4)
            self.database.execute(
                "update notices set attempts = attempts + 1, next = ?, error = ? where number = ?",
                (now + delay, error[:500], each.number),
            )

    def sent_since(self, channel: str, moment: float) -> int:
        """Return how many were sent; several that went as one count once."""
        rows = self.database.query(
            "select count(distinct sent) from notices where channel = ? and sent > ?", (channel, moment)
        )
        return int(rows[0][0])

    def give_up(self, now: float) -> list[Queued]:
        """Forget what waited for a day or is beyond the newest thousand, and return it; drop what was sent long ago."""
        self.database.execute("delete from notices where sent < ?", (now - _KEPT_SECONDS,))
        crowd = self.database.query(
            "select number from notices where sent is null order by number desc limit -1 offset ?", (_MOST_WAITING,)
        )
        least = max((int(row[0]) for row in crowd), default=0)
        lost = self._rows("sent is null and (made < ? or number <= ?)", (now - _GIVEN_UP_SECONDS, least))
        for each in lost:
            self.database.execute("delete from notices where number = ?", (each.number,))
        return lost

    def incidents(self) -> dict[str, Incident]:
        """Return the remembered incidents; one that cannot be read is forgotten."""
        found = {}
        for subject, body in self.database.query("select subject, body from incidents"):
            try:
                found[str(subject)] = msgspec.json.decode(body, type=Incident)
            except msgspec.DecodeError:
                continue
        return found

    def remember(self, incidents: dict[str, Incident]) -> None:
        """Replace the remembered incidents."""
        self.database.execute("delete from incidents")
        for subject, each in incidents.items():
            body = msgspec.json.encode(each).decode()
            self.database.execute("insert into incidents values (?, ?)", (subject, body))

    def _rows(self, where: str, values: Sequence[object]) -> list[Queued]:
        rows = self.database.query(
            f"select number, channel, body, made, attempts, sent, error from notices where {where}", values
        )
        return [
            Queued(
                number=number,
                channel=channel,
                notice=msgspec.json.decode(body, type=Notice),
                made=made,
                attempts=attempts,
                sent=sent,
                error=error,
            )
            for number, channel, body, made, attempts, sent, error in rows
        ]
