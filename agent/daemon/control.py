"""The daemon's unix socket: one JSON object a line in, one out; only the home's owner can reach it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = 1
_LONGEST_REQUEST = 65536
Answer = Callable[[dict[str, Any]], dict[str, Any]]


async def serve(path: Path, answer: Answer) -> asyncio.Server:
    """Listen at the path, replacing a dead daemon's socket; `answer` raises ValueError for what it cannot do."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError, ValueError):
            while line := await reader.readline():
                writer.write(json.dumps(_reply(line, answer), default=str).encode() + b"\n")
                await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        # Through the descriptor, because a socket's address holds no more than 107 bytes.
        before = os.umask(0o177)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.umask(before)
    finally:
        os.close(folder)
    return await asyncio.start_unix_server(client, sock=listener, limit=_LONGEST_REQUEST)


def _reply(line: bytes, answer: Answer) -> dict[str, Any]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or request.get("version") != VERSION:
            raise ValueError(f"this daemon speaks version {VERSION}")
        return {"version": VERSION, "ok": True, **answer(request)}
    except (ValueError, KeyError, TypeError) as error:
        return {"version": VERSION, "ok": False, "error": str(error)}
