"""The read-only page on the loopback metrics port: /metrics and /-/healthy, GET and HEAD, nothing else.

Scrapes at the same time share one collection, and one within a second gets the last: twenty curious clients cost no
more than one. A port that a stranger holds is told once and tried again; the daemon goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent.daemon.exposition import Scrape
from agent.daemon.metrics import Metrics

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

HOST = "127.0.0.1"
_RETRY_SECONDS = 5.0
_FRESH_SECONDS = 1.0
_HEAD_BYTES = 16384
_SEND_SECONDS = 10.0
_IDLE_SECONDS = 120.0
_CONNECTIONS = 64


class MetricsServer:
    """Listens where the newest release says, and moves when that changes."""

    def __init__(self, daemon: Daemon, metrics: Metrics) -> None:
        self._daemon = daemon
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._port: int | None = None
        self._told: int | None = None
        self._scraping: asyncio.Task[Scrape] | None = None
        self._scraped_at = float("-inf")
        self._clients: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep the port open until cancelled."""
        try:
            while True:
                wanted = metrics_port(self._daemon)
                if self._server is None or wanted != self._port:
                    await self._open(wanted)
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._close()
            self._metrics.pool.shutdown(wait=False, cancel_futures=True)

    async def _open(self, port: int) -> None:
        self._close()
        try:
            self._server = await asyncio.start_server(self._accept, HOST, port, limit=_HEAD_BYTES)
        except OSError as error:
            if self._told != port:
                from agent.operations.preflight import port_owner  # noqa: PLC0415 - only when it is taken

                owner = await asyncio.to_thread(port_owner, port)
                cause = f"cannot listen on {HOST}:{port}: {error.strerror}{owner and f', it is held{owner}'}"
                self._daemon.tell("metrics-unavailable", service="daemon", cause=cause, detail="it is tried again")
                self._told = port
            return
        self._port = port
        if self._told is not None:
            self._daemon.tell("metrics-available", service="daemon", cause=f"{HOST}:{port} is free again")
            self._told = None

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in self._clients:
            client.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= _CONNECTIONS:
            writer.close()
            return
        self._clients.add(task)
        troubles = (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        try:
            with contextlib.suppress(*troubles, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays open for another."""
        request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _IDLE_SECONDS)
        first, _, rest = request.decode("latin-1").partition("\r\n")
        words = first.split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            await _send(writer, HTTPStatus.BAD_REQUEST, {}, b"this is not HTTP/1\n", head=False, keep=False)
            return False
        method, target, version = words
        headers = _headers(rest)
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        keep = keep and "content-length" not in headers and "transfer-encoding" not in headers
        status, more, body = await self._page(method, target.partition("?")[0], headers)
        await _send(writer, status, more, body, head=method == "HEAD", keep=keep)
        return keep

    async def _page(self, method: str, path: str, headers: dict[str, str]) -> tuple[HTTPStatus, dict[str, str], bytes]:
        if method not in {"GET", "HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"}, b"only GET and HEAD\n"
        match path:
            case "/-/healthy":
                return HTTPStatus.OK, {}, b"the daemon answers\n"
            case "/metrics":
                scrape = await self._scrape()
                accept, encoding = headers.get("accept", ""), headers.get("accept-encoding", "")
                loop = asyncio.get_running_loop()
                body, kind, small = await loop.run_in_executor(
                    self._metrics.pool, lambda: scrape.body(accept=accept, accept_encoding=encoding)
                )
                more = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
                return HTTPStatus.OK, more | ({"Content-Encoding": "gzip"} if small else {}), body
            case _:
                return HTTPStatus.NOT_FOUND, {}, b"there are /metrics and /-/healthy\n"

    async def _scrape(self) -> Scrape:
        if self._scraping is None or (
            self._scraping.done()
            and (self._scraping.exception() is not None or time.monotonic() - self._scraped_at > _FRESH_SECONDS)
        ):
            self._scraping = asyncio.create_task(self._collect())
        return await asyncio.shield(self._scraping)

    async def _collect(self) -> Scrape:
        known = self._metrics.known()
        loop = asyncio.get_running_loop()
        scrape = await loop.run_in_executor(self._metrics.pool, lambda: Scrape((*self._metrics.read(), *known)))
        self._scraped_at = time.monotonic()
        return scrape


def metrics_port(daemon: Daemon) -> int:
    """Return the port the newest release wants."""
    settings = daemon.stack.desired.settings
    return settings.daemon.metrics_port + settings.port_offset


def _headers(text: str) -> dict[str, str]:
    found = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


async def _send(
    writer: asyncio.StreamWriter, status: HTTPStatus, more: dict[str, str], body: bytes, *, head: bool, keep: bool
) -> None:
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "keep-alive" if keep else "close",
        "X-Content-Type-Options": "nosniff",
        **more,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode("latin-1"))
    if not head:
        writer.write(body)
    await asyncio.wait_for(writer.drain(), _SEND_SECONDS)
