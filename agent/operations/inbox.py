"""Take the inbox of events into the database: each exactly once, whoever is killed in between.

How far each file has been read is stored with what was read, in one transaction. A file is known by its first line,
which holds a moment in microseconds: names and inode numbers are used again, and would lose events or take them twice.
Rotation renames; who had opened the file before still writes to it, so the renamed file is read on until the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.core.event_chain import cause_of
from agent.system.database import Database

_TABLES = (
    """create table if not exists events (
        number integer primary key, at text not null, service text not null, instance text not null,
        kind text not null, because integer, body text not null)""",
    "create index if not exists events_by_time on events (at)",
    "create index if not exists events_by_instance on events (instance, kind, number)",
    "create index if not exists events_by_service on events (service, number)",
    "create table if not exists inbox (head text primary key, taken integer not null) without rowid",
)
_BATCH_BYTES = 1024 * 1024
_ROTATE_BYTES = 4 * 1024 * 1024
_QUIET_SECONDS = 60.0
_LONGEST_LINE = 65536
_STRUCTURED = ("attempt", "of", "delay")


class Inbox:
    """The inbox of one home and the table it is emptied into; `rotate_bytes` is the size from which it is renamed."""

    def __init__(self, database: Database, path: Path, *, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self._database = database
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._seen: tuple[int, ...] = ()
        for statement in _TABLES:
            database.execute(statement)

    def ingest(self) -> int:
        """Take over what is new and return how many events; raise StateUnreadable when the database cannot be used."""
        sizes = self._sizes()
        if sizes == self._seen:
            return 0
        count = 0
        while True:
            with self._database.transaction():
                taken, more = self._take()
            count += taken
            if not more:
                break
        self._seen = sizes
        if sizes and sizes[-1] > self._rotate_bytes:
            self._rotate()
        return count

    def _sizes(self) -> tuple[int, ...]:
        found: list[int] = []
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):
                found += [path.stat().st_ino, path.stat().st_size]
        return tuple(found)

    def _paths(self) -> tuple[Path, Path]:
        return self._path.with_name(f"{self._path.name}.1"), self._path

    def _take(self) -> tuple[int, bool]:
        """Take one batch of each file, inside a transaction; whether there is more."""
        count, more, heads = 0, False, []
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
                first = stream.readline(_LONGEST_LINE)
                if not first.endswith(b"\n") and len(first) < _LONGEST_LINE:
                    continue
                head = hashlib.sha256(first).hexdigest()
                heads.append(head)
                rows = self._database.query("select taken from inbox where head = ?", (head,))
                taken = int(rows[0][0]) if rows else 0
                stream.seek(taken)
                batch = stream.read(_BATCH_BYTES)
                whole = batch.rfind(b"\n") + 1
                if not whole and len(batch) == _BATCH_BYTES:
                    whole = len(batch)  # no event is that long: these bytes are none
                for event in _events(batch[:whole]):
                    self._insert(event)
                    count += 1
                if whole:
                    row = (head, taken + whole)
                    self._database.execute("insert or replace into inbox values (?, ?)", row)
                more = more or (len(batch) == _BATCH_BYTES)
        marks = ", ".join("?" * len(heads))
        self._database.execute(f"delete from inbox where head not in ({marks})", heads)
        return count, more

    def _insert(self, event: dict[str, Any]) -> None:
        detail = event.get("detail", "")
        event.setdefault("who", "keeper")
        if isinstance(detail, dict):
            event |= {
                ("next_delay" if name == "delay" else name): detail[name] for name in _STRUCTURED if name in detail
            }
        because = self._cause(event)
        values = [str(event.get(name, "")) for name in ("at", "service", "instance", "kind")]
        body = json.dumps(event, ensure_ascii=False)
        self._database.execute(
            "insert into events (at, service, instance, kind, because, body) values (?, ?, ?, ?, ?, ?)",
            (*values, because, body),
        )

    def _cause(self, event: dict[str, Any]) -> int | None:
        link = cause_of(event)
        if link is None:
            return None
        try:
            since = datetime.fromisoformat(str(event.get("at"))) - timedelta(seconds=link.within_seconds)
        except ValueError:
            return None
        marks = ", ".join("?" * len(link.kinds))
        where, values = f"kind in ({marks}) and at >= ?", [*link.kinds, since.isoformat()]
        for column, value in (("instance", link.instance), ("service", link.service)):
            if value:
                where, values = f"{where} and {column} = ?", [*values, value]
        rows = self._database.query(f"select max(number) from events where {where}", values)
        return None if rows[0][0] is None else int(rows[0][0])

    def _rotate(self) -> None:
        """Begin a new file, when all of both is in the database and nobody can still be writing to the older one."""
        older, path = self._paths()
        with self._database.transaction(), contextlib.suppress(FileNotFoundError):
            if older.exists() and time.time() - older.stat().st_mtime < _QUIET_SECONDS:
                return
            count, more = self._take()
            if not count and not more:
                path.rename(older)


def _events(batch: bytes) -> Iterator[dict[str, Any]]:
    for line in batch.splitlines():
        # A disk that was full can leave half a line before a whole one.
        for start in (0, max(line.rfind(b'{"at"'), 0)):
            with contextlib.suppress(ValueError):
                event = json.loads(line[start:])
                if isinstance(event, dict) and "kind" in event:
                    yield event
                    break
