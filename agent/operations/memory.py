"""What the daemon knows of each check, kept over its own restarts; a check that stays as it is writes nothing."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from agent.core.health import CheckState
from agent.system.database import Database

_TABLES = """
create table if not exists checks (key text primary key, state text not null) without rowid;
create table if not exists facts (name text primary key, value text not null) without rowid
"""


class Memory:
    """Check states by `instance/check`, pushed TTLs, and single facts by name."""

    def __init__(self, database: Database) -> None:
        self.database = database
        for statement in _TABLES.split(";"):
            database.execute(statement)
        self._written: dict[str, bytes] = {}

    def load(self) -> dict[str, CheckState]:
        """Return every remembered state; one that cannot be read is forgotten."""
        found = {}
        for key, text in self.database.query("select key, state from checks"):
            try:
                found[str(key)] = msgspec.json.decode(text, type=CheckState)
            except msgspec.DecodeError:
                continue
            self._written[str(key)] = _lasting(found[str(key)])
        return found

    def save(self, key: str, state: CheckState) -> None:
        """Write the state when more than its moment and its output have changed."""
        lasting = _lasting(state)
        if self._written.get(key) == lasting:
            return
        self.database.execute("insert or replace into checks values (?, ?)", (key, msgspec.json.encode(state).decode()))
        self._written[key] = lasting

    def forget(self, key: str) -> None:
        """Forget one check."""
        if self._written.pop(key, None) is not None:
            self.database.execute("delete from checks where key = ?", (key,))

    def fact(self, name: str) -> str | None:
        """Return a remembered fact."""
        rows = self.database.query("select value from facts where name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def drop(self, name: str) -> None:
        """Forget a fact."""
        self.database.execute("delete from facts where name = ?", (name,))

    def remember(self, name: str, value: str) -> None:
        """Remember a fact."""
        self.database.execute("insert or replace into facts values (?, ?)", (name, value))


def _lasting(state: CheckState) -> bytes:
    """What of a state is worth a write: not its output, and not when it was last looked at."""
    return msgspec.json.encode(replace(state, output="", checked_at=state.since))
