"""The agent's small database: one SQLite file, written ahead, shared by the daemon and the command line.

A file that cannot be read is set aside, never a reason not to start; a disk that cannot be written is an error for the
one who writes, and what is in memory goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.errors import StateUnreadable

_BUSY_SECONDS = 5.0
Row = tuple[Any, ...]


class Database:
    """One open database; may be used from several threads, one statement or transaction at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection = self._open()

    def query(self, text: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows; raise StateUnreadable when the file cannot be read or written."""
        with self._lock, self._translated():
            return self._connection.execute(text, values).fetchall()

    def execute(self, text: str, values: Sequence[object] = ()) -> int:
        """Run one statement durably and return the number of rows it changed."""
        with self._lock, self._translated():
            return self._connection.execute(text, values).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything in the body one change, or none when it raises."""
        with self._lock:
            self.execute("begin immediate")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("rollback")
                raise
            self.execute("commit")

    def close(self) -> None:
        """Close it; nothing that was executed is lost."""
        with self._lock:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise StateUnreadable(
                f"{self.path}: {error}", hint="is the disk full, or the file another user's?"
            ) from error
        except sqlite3.DatabaseError:
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            for ending in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{ending}").rename(f"{self.path}{ending}.corrupt-{moment}")
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self.path.chmod(0o600)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma quick_check")
        return connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StateUnreadable(f"{self.path}: {error}", hint="see: refnet-agent doctor") from error
