"""Beside the loop, so that a full disk or a slow receiver never holds it up: events kept, people told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.daemon.archive import Archive
from agent.operations.maintenance import current, end_expired
from agent.operations.maintenance_page import publish_pages

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

_TURN_SECONDS = 1.0


class Chronicle:
    """What the daemon writes down and whom it tells; runs until cancelled."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._archive = Archive(daemon.stack.home, daemon.database)
        self._trouble = ""

    async def run(self) -> None:
        """Do a turn a second; a failure is told once and tried again."""
        while True:
            try:
                await self._archive.turn(days=self._daemon.stack.desired.settings.daemon.events_days)
                await self._keep_maintenance()
                self._trouble = ""
            except Exception as error:  # whatever it is: tomorrow's events matter more
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._daemon.tell("daemon-trouble", cause=self._trouble)
            await asyncio.sleep(_TURN_SECONDS)

    async def _keep_maintenance(self) -> None:
        daemon = self._daemon
        now = datetime.now(UTC)
        await asyncio.to_thread(end_expired, daemon.database, events=daemon.stack.home.events, now=now)
        daemon.maintenance = await asyncio.to_thread(current, daemon.database, now)
        await asyncio.to_thread(publish_pages, daemon.stack, daemon.maintenance)
