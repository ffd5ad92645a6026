"""Promise 5: rolling the API, and killing one of two instances, under load through the real gateway, loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from bench.agent import Agent, Failed, agent
from bench.figures import Judged, Measure, Role, Sample
from bench.load import Load, Tally, Target
from bench.room import Room, free_offset

SECONDS = 300
_HTTPS, _HTTP, _API = 8443, 8080, 8100
_RATE = 200.0
_HOST = "bench.localhost"


def measure(room: Room) -> Iterator[Measure]:
    """Two instances behind nginx with TLS at 200 requests a second, ten requests of 10 s always on their way."""
    offset = free_offset(_HTTPS, _HTTP, _API, span=3)
    made = agent(room, _stack(offset))
    made.apply()
    target = Target(host=_HOST, port=_HTTPS + offset, path="/api/", authority=made.home / "certs" / "ca.pem")
    slow = room.few(10, quick=2)
    calm = room.few(10, quick=2)

    def load(slow_seconds: float = slow) -> Load:
        return Load(target, rate=_RATE, slow_every=1.0, slow_seconds=slow_seconds)

    quiet = _under(load(1), lambda: asyncio.sleep(calm))
    rolled, took = _timed(load(), lambda: _roll(made, "2"), lead=slow)
    if rolled.fast.editions["2"] == 0:
        raise Failed(f"the new edition was never served: {dict(rolled.fast.editions)}")
    restarted = _under(load(), lambda: _verb(made, "restart", "web"), lead=slow)
    killed = _under(load(), lambda: _kill(made, "web-1", rest=calm), lead=slow)
    orphaned = _under(load(2), lambda: _kill_daemon(made, rest=calm / 2), lead=2)
    both = _under(load(1), lambda: _kill(made, "web-1", "web-2", rest=1), lead=1)
    yield from _measures("nothing happens", quiet, note="the same load on a system left alone")
    yield from _measures("rolling the API", rolled, note=f"apply took {took:.1f} s with both instances replaced")
    yield from _measures("restarting the API", restarted, note="the verb restart, instance after instance")
    yield from _measures("kill -9 of one of two", killed, note="web-1")
    yield from _measures("kill -9 of the daemon", orphaned, note="and of its keeper")
    note = "web-2 one second after web-1; a slow request that meets both kills has nobody left to try"
    yield from _measures("both killed, 1 s apart", both, note=note, promised=False)


def _stack(offset: int) -> str:
    source = f"{{path: {Path(__file__).parent / 'services' / 'api'}}}"
    return f"""name: bench
engine: process
port_offset: {offset}
services:
  gateway: {{}}
  web:
    source: {source}
    command: [uvicorn, "bench_api:app", --host, "${{HOST}}", --port, "${{PORT}}", --no-access-log]
    ports: {{http: {_API}}}
    replicas: 2
    upstream: true
    env: {{clear: {{EDITION: "1"}}}}
    checks: [{{name: health, type: http, path: /health, interval: 10s, timeout: 2s}}]
    update: {{order: start-first, min_healthy_time: 1s, healthy_deadline: 60s}}
    kill_timeout: 30s
gateway:
  host: {_HOST}
  routes:
    - {{path: /api/, to: web}}
"""


def _under(load: Load, event: Callable[[], Awaitable[object]], *, lead: float = 1.0) -> Load:
    """Let the load run in, make the event happen, and let the load run out."""

    async def run() -> None:
        stop = asyncio.Event()
        sending = asyncio.create_task(load.run(stop))
        await asyncio.sleep(lead)
        try:
            await event()
            await asyncio.sleep(2)
        finally:
            stop.set()
            await sending

    asyncio.run(run())
    return load


def _timed(load: Load, event: Callable[[], Awaitable[float]], *, lead: float) -> tuple[Load, float]:
    took: list[float] = []

    async def noted() -> None:
        took.append(await event())

    return _under(load, noted, lead=lead), took[0]


async def _roll(made: Agent, edition: str) -> float:
    began = time.monotonic()
    await _verb(made, "apply", "-y", "-f", str(made.file), "--set", f"services.web.env.clear.EDITION={edition}")
    return time.monotonic() - began


async def _verb(made: Agent, *words: str) -> None:
    process = made.begin(*words)
    try:
        said, _ = await asyncio.to_thread(process.communicate, timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Failed(f"{words[0]} did not end under load") from None
    if process.returncode:
        raise Failed(f"{words[0]} failed under load:\n{said.decode(errors='replace')}")


async def _kill_daemon(made: Agent, *, rest: float) -> None:
    for pid in await asyncio.to_thread(made.daemon):
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(rest)


async def _kill(made: Agent, *names: str, rest: float) -> None:
    pids = await asyncio.to_thread(made.pids)
    for name in names:
        os.kill(pids[name], signal.SIGKILL)
        await asyncio.sleep(rest)


def _measures(event: str, load: Load, *, note: str, promised: bool = True) -> Iterator[Measure]:
    note = f"{note}; {_words('requests', load.fast)}; {_words('slow requests', load.slow)}"
    failed = Sample(subject="failed requests", role=Role.OURS, values=(float(load.fast.failed + load.slow.failed),))
    budget = 0 if promised else None
    yield Measure(
        name=f"{event}: failed", unit="requests", samples=(failed,), budget=budget, judged=Judged.WORST, note=note
    )
    latency = tuple(each * 1000 for each in load.fast.seconds)
    sample = Sample(subject="answer, through TLS and the gateway", role=Role.OURS, values=latency)
    yield Measure(name=f"{event}: answer", unit="ms", samples=(sample,))


def _words(kind: str, tally: Tally) -> str:
    parts = [f"{tally.good} of {tally.sent} {kind} good"]
    if tally.idle_closes:
        parts.append(f"{tally.idle_closes} idle closes repeated")
    if tally.late:
        parts.append(f"{tally.late} sent over 1 s late")
    if tally.failures:
        parts.append(", ".join(f"{count} × {word}" for word, count in tally.failures.most_common()))
    return ", ".join(parts)
