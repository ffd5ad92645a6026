"""Take events into the database as they come, and forget those that are older than the settings say."""

from __future__ import annotations

import asyncio
import time

from agent.model.home import Home
from agent.operations.history import History
from agent.system.database import Database

_FORGET_SECONDS = 3600.0


class Archive:
    """The daemon's part in the history; one turn a cycle, which looks at two sizes where nothing happened."""

    def __init__(self, home: Home, database: Database) -> None:
        self.history = History(home, database)
        self._forgot = -_FORGET_SECONDS

    async def turn(self, *, days: int) -> None:
        """Ingest, and once an hour delete what is older than `days`; raise StateUnreadable when the disk is full."""
        await asyncio.to_thread(self.history.inbox.ingest)
        now = time.monotonic()
        if now - self._forgot >= _FORGET_SECONDS:
            self._forgot = now
            await asyncio.to_thread(self.history.forget, days=days)
