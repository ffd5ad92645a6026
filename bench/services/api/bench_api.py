"""An ASGI application: every path answers at once with the edition, `/…/slow?SECONDS` takes its time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
EDITION = os.environ.get("EDITION", "1").encode()


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"].endswith("/slow"):
        await asyncio.sleep(float(scope["query_string"]))
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(EDITION)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": EDITION})
