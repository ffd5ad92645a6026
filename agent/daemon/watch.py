"""Run every check at its interval, remember what it says, and tell who listens when its status changes.

Consul's timing: the first run at a random moment of the interval, the next is armed when the last has ended, so that
no check ever runs twice at once, and one that hangs delays nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.core.health import CheckState, ProbeResult, advance
from agent.errors import StateUnreadable
from agent.model.check import Check, CheckType, Status
from agent.operations.memory import Memory
from agent.system.probe import ProbeTarget, probe

_STUCK_SECONDS = 5.0
_SLOW_SECONDS = 5.0
_THREADS = 256
_QUICK_SCRIPTS = 8
_PUSHED = frozenset({CheckType.TTL, CheckType.ALIAS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One check of one instance; `key` is `instance/check`, `generation` changes with every start of the instance."""

    service: str
    instance: str
    check: Check
    target: ProbeTarget
    generation: str = ""

    @property
    def key(self) -> str:
        """The name under which its state is kept."""
        return f"{self.instance}/{self.check.title}"


Listener = Callable[[Watched, CheckState | None, CheckState], None]
"""Called with what is watched, its state before (None at first) and after; only when the status or flapping changed."""


class Watch:
    """The running checks; lives on one event loop, probes in threads."""

    def __init__(self, memory: Memory, *, slow_scripts: int, listener: Listener) -> None:
        self.states: dict[str, CheckState] = memory.load()
        self.watched: dict[str, Watched] = {}
        self.results = 0
        self._memory = memory
        self._listener = listener
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._shared: dict[object, asyncio.Task[ProbeResult]] = {}
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="probe")
        self._slow = asyncio.Semaphore(slow_scripts)
        self._quick = asyncio.Semaphore(_QUICK_SCRIPTS)

    def replace(self, wanted: Iterable[Watched]) -> None:
        """Watch exactly these; a check that is the same as before keeps its timer and its state."""
        fresh = {each.key: each for each in wanted}
        for key in self.watched.keys() - fresh.keys():
            self._end(key)
        for key in self.states.keys() - fresh.keys():
            self.states.pop(key)
            self._memory.forget(key)
        for key, each in fresh.items():
            known = self.watched.get(key)
            self.watched[key] = each
            if known is not None and known.generation != each.generation:
                # Another process: what the old one answered says nothing about it.
                self.states.pop(key, None)
            if known is None or known.check != each.check:
                self._end(key)
                self._tasks[key] = asyncio.create_task(self._run(key), name=key)

    async def look_now(self, keys: Iterable[str]) -> None:
        """Probe these at once, or wait for the probe that is under way."""
        await asyncio.gather(*(self._look(key) for key in keys if key in self.watched))

    def push(self, key: str, result: ProbeResult) -> None:
        """Take a result from outside: a TTL push, or the status an alias follows."""
        if each := self.watched.get(key):
            self._take(each, result)

    async def close(self) -> None:
        """Stop every check; one that hangs is left behind."""
        for key in tuple(self._tasks):
            self._end(key)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, key: str) -> None:
        if task := self._tasks.pop(key, None):
            task.cancel()

    async def _run(self, key: str) -> None:
        interval = self.watched[key].check.interval.total_seconds()
        # The spread keeps a thousand checks from probing in the same moment.
        await asyncio.sleep(random.uniform(0, interval))
        while True:
            if self.watched[key].check.type not in _PUSHED:
                await self._look(key)
            await asyncio.sleep(interval)

    async def _look(self, key: str) -> None:
        looking = self._looking.get(key)
        if looking is None:
            looking = asyncio.create_task(self._probe(self.watched[key]))
            self._looking[key] = looking
            looking.add_done_callback(lambda _: self._looking.pop(key, None))
        await asyncio.shield(looking)

    async def _probe(self, each: Watched) -> None:
        self._take(each, await self._result(each))

    async def _result(self, each: Watched) -> ProbeResult:
        if not each.target.command:
            return await self._in_thread(each)
        if not each.check.shared:
            return await self._script(each)
        # One ping answers for all workers of a broker: it costs seconds of processor time.
        target = each.target
        same = (target.command, tuple(sorted((target.environment or {}).items())), target.user)
        task = self._shared.get(same)
        if task is None:
            task = asyncio.create_task(self._script(each))
            self._shared[same] = task
            task.add_done_callback(lambda _: self._shared.pop(same, None))
        return await asyncio.shield(task)

    async def _script(self, each: Watched) -> ProbeResult:
        slow = each.check.timeout.total_seconds() > _SLOW_SECONDS
        async with self._slow if slow else self._quick:
            return await self._in_thread(each)

    async def _in_thread(self, each: Watched) -> ProbeResult:
        running = asyncio.get_running_loop().run_in_executor(self._pool, probe, each.check, each.target)
        done, _ = await asyncio.wait({running}, timeout=each.check.timeout.total_seconds() + _STUCK_SECONDS)
        if not done:
            words = "the check does not end, though its time is over: it hangs in the kernel"
            self._take(each, ProbeResult(status=Status.CRITICAL, output=words, decisive=True))
        return await running

    def _take(self, each: Watched, result: ProbeResult) -> None:
        current = self.watched.get(each.key)
        if current is None or current.generation != each.generation:
            return  # the answer of a process that is gone
        self.results += 1
        before = self.states.get(each.key)
        after = advance(each.check, before, result, datetime.now(UTC))
        self.states[each.key] = after
        with contextlib.suppress(StateUnreadable):  # the disk is full: what is in memory goes on
            self._memory.save(each.key, after)
        if before is None or before.status is not after.status or before.flapping != after.flapping:
            self._listener(each, before, after)
