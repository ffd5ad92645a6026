"""Beside the loop, so that a full disk or a slow receiver never holds it up: events kept, people told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.daemon.archive import Archive

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
                self._trouble = ""
            except Exception as error:  # whatever it is: tomorrow's events matter more
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._daemon.tell("daemon-trouble", cause=self._trouble)
            await asyncio.sleep(_TURN_SECONDS)
