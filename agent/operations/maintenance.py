"""Begin, end and look up maintenance: rows in the database, so that it survives the daemon and ends by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import StateUnreadable
from agent.model.maintenance import Maintenance
from agent.operations.events import operator, record
from agent.system.database import Database

_TABLE = """create table if not exists maintenance (
    service text primary key, reason text not null, since text not null, until text,
    page integer not null, who text not null, told integer not null default 0) without rowid"""
_COLUMNS = "service, reason, since, until, page, who, told"


def begin(
    database: Database,
    services: Iterable[str],
    *,
    events: Path,
    reason: str,
    now: datetime,
    until: datetime | None = None,
    page: bool = False,
) -> None:
    """Begin it for each service, an empty name being the whole host; one that has begun gets the new reason and end."""
    database.execute(_TABLE)
    for service in services:
        values = (service, reason, _text(now), None if until is None else _text(until), page, operator())
        database.execute("insert or replace into maintenance values (?, ?, ?, ?, ?, ?, 0)", values)
        ending = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until ended by hand"
        record(events, kind="maintenance-on", service=service, cause=reason, detail=ending)


def end(database: Database, services: Iterable[str] | None, *, events: Path, now: datetime) -> tuple[str, ...]:
    """End it for these services, for everything where that is None; return which were in maintenance."""
    known = {each.service for each in current(database, now)}
    chosen = tuple(sorted(known if services is None else known & set(services)))
    for service in chosen:
        database.execute("delete from maintenance where service = ?", (service,))
        record(events, kind="maintenance-off", service=service, cause="ended by hand")
    return chosen


def end_expired(database: Database, *, events: Path, now: datetime) -> None:
    """Delete what has lasted as long as it was to last."""
    for each in _rows(database):
        if each.until is not None and each.until <= now:
            deleted = database.execute(
                "delete from maintenance where service = ? and until = ?", (each.service, _text(each.until))
            )
            if deleted:
                record(events, kind="maintenance-off", service=each.service, cause="its time is over", who="daemon")


def current(database: Database, now: datetime) -> tuple[Maintenance, ...]:
    """Return every maintenance in force, the host's first."""
    return tuple(each for each in _rows(database) if each.until is None or each.until > now)


def why_left_alone(database: Database, service: str) -> str | None:
    """Return the reason of the service's maintenance, None when there is none or nobody can read of it."""
    with contextlib.suppress(StateUnreadable):
        for each in current(database, datetime.now(UTC)):
            if each.covers(service):
                return f"in maintenance: {each.reason}"
    return None


def mark_told(database: Database, maintenance: Maintenance) -> None:
    """Remember that people were told of it."""
    database.execute("update maintenance set told = 1 where service = ?", (maintenance.service,))


def describe(maintenance: Maintenance) -> str:
    """Return one sentence for people."""
    until = maintenance.until
    ending = f"until {until.astimezone():%Y-%m-%d %H:%M}" if until else "until ended by hand"
    return f"{maintenance.subject} is in maintenance {ending}: {maintenance.reason} ({maintenance.who})"


def _rows(database: Database) -> Iterable[Maintenance]:
    database.execute(_TABLE)
    for service, reason, since, until, page, who, told in database.query(
        f"select {_COLUMNS} from maintenance order by service"
    ):
        yield Maintenance(
            service=service,
            reason=reason,
            since=datetime.fromisoformat(since),
            until=datetime.fromisoformat(until) if until else None,
            page=bool(page),
            who=who,
            told=bool(told),
        )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
