"""Carry queued notices to their receivers: one at a time for each channel, so that one that hangs delays no other."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from agent.core.notices import digest
from agent.errors import AgentError, DeliveryFailed
from agent.model.notify import Channel
from agent.operations.channels import deliver
from agent.operations.notices import Queue, Queued

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

_HOUR = 3600.0
_PATIENCE = 3.0
"""Times the channel's own timeout: name, connection and answer each may take one."""


class Courier:
    """What the daemon sends, one task a channel."""

    def __init__(self, daemon: Daemon, queue: Queue) -> None:
        self._daemon = daemon
        self._queue = queue
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failing: set[str] = set()
        self._held: set[str] = set()

    def turn(self) -> None:
        """Start to send on every channel that is idle and has something due."""
        for channel in self._daemon.stack.desired.settings.notify:
            known = self._tasks.get(channel.title)
            if known is not None and not known.done():
                continue
            batch = self._batch(channel)
            if batch:
                self._tasks[channel.title] = asyncio.create_task(self._send(channel, batch))

    async def close(self) -> None:
        """Send no more; what was under way is sent again by the next daemon."""
        for task in self._tasks.values():
            task.cancel()

    def _batch(self, channel: Channel) -> list[Queued]:
        now = time.time()
        due = self._queue.due(channel.title, now)
        if not due:
            return []
        room = channel.per_hour - self._queue.sent_since(channel.title, now - _HOUR)
        if room <= 0:
            if channel.title not in self._held:
                self._held.add(channel.title)
                words = f"{channel.title} had its {channel.per_hour} notices of this hour: the rest goes as one"
                self._daemon.tell("notice-held", cause=words)
            return []
        self._held.discard(channel.title)
        # The last place of the hour carries all that waits.
        return due if room == 1 else due[:1]

    async def _send(self, channel: Channel, batch: list[Queued]) -> None:
        notice = batch[0].notice if len(batch) == 1 else digest([each.notice for each in batch])
        secrets = self._daemon.stack.around.secrets
        sending = asyncio.ensure_future(asyncio.to_thread(deliver, channel, notice, secrets))
        patience = channel.timeout.total_seconds() * _PATIENCE
        done, _ = await asyncio.wait({sending}, timeout=patience)
        problem = ""
        try:
            if not done:
                raise DeliveryFailed(f"no end after {patience:g} s")
            sending.result()
        except AgentError as error:
            problem = error.message.splitlines()[0]
        except Exception as error:  # a receiver's worst word must not end the courier
            problem = f"{type(error).__name__}: {error}"
        await asyncio.to_thread(self._settle, channel, batch, problem)
        if not done:
            await asyncio.wait({sending})  # never two at once to one receiver

    def _settle(self, channel: Channel, batch: list[Queued], problem: str) -> None:
        if problem:
            self._queue.refused(batch, problem, time.time(), random.random())
            if channel.title not in self._failing:
                self._failing.add(channel.title)
                self._daemon.tell("notice-undelivered", cause=f"{channel.title}: {problem}")
            return
        self._queue.delivered(batch, time.time())
        if channel.title in self._failing:
            self._failing.discard(channel.title)
            self._daemon.tell("notice-delivered", cause=f"{channel.title} takes notices again")
