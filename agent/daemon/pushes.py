"""Follow the results pushed for ttl checks, and say when the next one is too late."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from agent.core.expiry import Armed, arm, expired_result, is_expired
from agent.daemon.watch import Watched
from agent.engine.keeper.processes import boot_id
from agent.errors import StateUnreadable
from agent.model.check import CheckType
from agent.operations.memory import Memory
from agent.operations.pushed import Push, push_path, read_push

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

_NOTED_AFTER_SECONDS = 0.2


class Pushes:
    """The timers of the ttl checks; they go on over a restart of the daemon."""

    def __init__(self, daemon: Daemon, memory: Memory) -> None:
        self._daemon = daemon
        self._memory = memory
        self._armed: dict[str, Armed] = {}
        self._boot = boot_id()

    async def turn(self) -> None:
        """Take what was pushed since the last turn, and let expire what was not."""
        watched = [each for each in self._daemon.watch.watched.values() if each.check.type is CheckType.TTL]
        for key in self._armed.keys() - {each.key for each in watched}:
            del self._armed[key]
            with contextlib.suppress(StateUnreadable):
                self._memory.drop(_name(key))
        if not watched:
            return
        for each, push in zip(watched, await asyncio.to_thread(self._read, watched), strict=True):
            self._judge(each, push)

    def _read(self, watched: list[Watched]) -> list[Push | None]:
        home = self._daemon.stack.home
        return [
            read_push(
                push_path(home, service=each.service, instance=each.instance, check=each.check),
                most=each.check.output_max_size,
            )
            for each in watched
        ]

    def _judge(self, each: Watched, push: Push | None) -> None:
        now = time.monotonic()
        known = self._armed.get(each.key) or self._remembered(each.key)
        armed, fresh = arm(
            known,
            generation=each.generation,
            boot=self._boot,
            identity=push.identity if push else "",
            own=push is not None and self._is_own(each, push),
            now=now,
        )
        if push is not None and fresh:
            self._daemon.watch.push(each.key, push.result)
        ttl = each.check.ttl
        if ttl is not None and not armed.expired and is_expired(armed, ttl=ttl.total_seconds(), now=now):
            state = self._daemon.watch.states.get(each.key)
            self._daemon.watch.push(each.key, expired_result(state.output if state else ""))
            armed = replace(armed, expired=True)
        self._armed[each.key] = armed
        if armed != known:
            with contextlib.suppress(StateUnreadable):  # the disk is full: what is in memory goes on
                self._memory.remember(_name(each.key), msgspec.json.encode(armed).decode())

    def _is_own(self, each: Watched, push: Push) -> bool:
        seen = next((one for one in self._daemon.observed if one.instance == each.instance), None)
        if seen is None or seen.started_at is None:
            return False
        # A process can push before its keeper has noted when it started.
        return push.written >= seen.started_at.timestamp() - _NOTED_AFTER_SECONDS

    def _remembered(self, key: str) -> Armed | None:
        try:
            text = self._memory.fact(_name(key))
            return msgspec.json.decode(text, type=Armed) if text else None
        except (StateUnreadable, msgspec.DecodeError):
            return None


def _name(key: str) -> str:
    return f"ttl {key}"
