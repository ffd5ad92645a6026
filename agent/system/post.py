"""The only door through which something is sent over HTTP: one POST of JSON, no redirect followed, always a timeout."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from agent.errors import DeliveryFailed

_MOST_BYTES = 4096


def post_json(url: str, body: Mapping[str, Any], *, headers: Mapping[str, str], timeout: float) -> str:
    """Send it and return the answer's status line; raise DeliveryFailed for everything but 2xx.

    Errors name the host alone: the path of a webhook is a secret. `timeout` is for each read and write, in seconds; a
    receiver that sends a byte now and then can take longer.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host:
        raise DeliveryFailed("the address is no http:// or https:// one", hint="set it again: refnet-agent secret set")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
        content = json.dumps(body, ensure_ascii=False).encode()
        fixed = {"Content-Type": "application/json", "User-Agent": "refnet-agent"}
        connection.request("POST", target, body=content, headers={**fixed, **headers})
        answer = connection.getresponse()
        said = answer.read(_MOST_BYTES).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DeliveryFailed(f"{host}: {reason}", hint="is it reachable from here?") from error
    finally:
        if "connection" in locals():
            connection.close()
    if not http.HTTPStatus.OK <= answer.status < http.HTTPStatus.MULTIPLE_CHOICES:
        words = f": {said.splitlines()[0][:200]}" if said else ""
        raise DeliveryFailed(f"{host} answered {answer.status} {answer.reason}{words}")
    return f"{answer.status} {answer.reason}"
