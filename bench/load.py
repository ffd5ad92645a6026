"""An open-loop load: requests leave at their times whatever came of the earlier ones, like users do.

Half of them open a connection each, half use kept ones; every tenth is a POST, and long requests run beside them.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the load goes, over TLS checked against `authority`."""

    host: str
    port: int
    path: str
    authority: Path

    def context(self) -> ssl.SSLContext:
        """Return what checks the gateway's certificate."""
        return ssl.create_default_context(cafile=str(self.authority))


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the requests; `failures` counts words such as `502` or `ConnectionResetError`.

    `idle_closes` are kept connections that were closed before a byte of the answer: a client repeats those
    on a new connection, and so do we; what fails then is a failure.
    """

    sent: int = 0
    good: int = 0
    idle_closes: int = 0
    late: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    editions: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many requests a user would have seen fail."""
        return sum(self.failures.values())


class _Closed(Exception):
    """A kept connection ended before any answer."""


class Load:
    """Sends until it is told to stop, then waits for what is on its way."""

    def __init__(self, target: Target, *, rate: float, slow_every: float, slow_seconds: float) -> None:
        self._target = target
        self._rate = rate
        self._slow_every = slow_every
        self._slow_seconds = slow_seconds
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._context = target.context()
        self.fast = Tally()
        self.slow = Tally()

    async def run(self, stop: asyncio.Event) -> None:
        """Send at the rate until `stop` is set."""
        began = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        next_slow = 0.0
        number = 0
        while not stop.is_set():
            wait = began + number / self._rate - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -1:
                self.fast.late += 1
            tasks.add(asyncio.create_task(self._fast(number)))
            if time.monotonic() - began >= next_slow:
                next_slow += self._slow_every
                tasks.add(asyncio.create_task(self._slow()))
            number += 1
            tasks = {task for task in tasks if not task.done()} if number % 100 == 0 else tasks
        await asyncio.gather(*tasks)
        for _, writer in self._kept:
            writer.close()

    async def _fast(self, number: int) -> None:
        method = "POST" if number % 10 < 2 else "GET"  # both kinds of connection get their share of POST
        await self._count(self.fast, method, self._target.path, keep=number % 2 == 1)

    async def _slow(self) -> None:
        await self._count(self.slow, "GET", f"{self._target.path}slow?{self._slow_seconds:g}", keep=False)

    async def _count(self, tally: Tally, method: str, path: str, *, keep: bool) -> None:
        tally.sent += 1
        began = time.monotonic()
        try:
            status, body = await asyncio.wait_for(self._request(tally, method, path, keep=keep), _PATIENCE)
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            tally.failures[f"{method} {type(error).__name__}"] += 1
            return
        tally.seconds.append(time.monotonic() - began)
        if 200 <= status < 300:
            tally.good += 1
            tally.editions[body] += 1
        else:
            tally.failures[f"{method} {status}"] += 1

    async def _request(self, tally: Tally, method: str, path: str, *, keep: bool) -> tuple[int, str]:
        if keep and self._kept:
            reader, writer = self._kept.pop()
            try:
                return await self._exchange(reader, writer, method, path, keep=True, reused=True)
            except _Closed:
                tally.idle_closes += 1
                writer.close()
        target = self._target
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", target.port, ssl=self._context, server_hostname=target.host
        )
        return await self._exchange(reader, writer, method, path, keep=keep, reused=False)

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        *,
        keep: bool,
        reused: bool,
    ) -> tuple[int, str]:
        body = "Content-Length: 4\r\n\r\nping" if method == "POST" else "\r\n"
        connection = "" if keep else "Connection: close\r\n"
        host = f"{self._target.host}:{self._target.port}"
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{connection}{body}".encode())
            await writer.drain()
            first = await reader.readline()
        except OSError:
            if reused:
                raise _Closed from None
            raise
        if not first:
            if reused:
                raise _Closed
            raise EOFError("closed without an answer")
        status = int(first.split()[1])
        length, stays = 0, keep
        while (line := (await reader.readuntil(b"\n")).strip().lower()) != b"":
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            stays = stays and (name, value.strip()) != (b"connection", b"close")
        text = (await reader.readexactly(length)).decode()
        if stays:
            self._kept.append((reader, writer))
        else:
            writer.close()
        return status, text
