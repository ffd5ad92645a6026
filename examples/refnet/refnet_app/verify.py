"""Prove the system from the outside: log in, crawl a paper, see its page with links, leave nothing behind."""

import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from refnet_app import paper_id, settings, source

DEADLINE_SECONDS = 60
CANDIDATES = ("arxiv:1802.05365", "arxiv:2006.11239", "arxiv:1310.4546", "arxiv:1406.1078")


class Gateway:
    """One HTTPS door, reached at an address of its own: its name need not resolve."""

    def __init__(self) -> None:
        """Read where it is and whom to trust."""
        url = urlsplit(os.environ["GATEWAY_URL"])
        self.host, self.port = url.hostname or "localhost", url.port or 443
        host, _, port = os.environ.get("GATEWAY_ADDRESS", f"{self.host}:{self.port}").rpartition(":")
        self.address = (host, int(port))
        self.context = ssl.create_default_context(cafile=os.environ["GATEWAY_CA"])
        self.token = ""

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Return status and text of one request."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=10, context=self.context)
        connection._create_connection = lambda _, *rest: socket.create_connection(  # type: ignore[attr-defined]
            self.address, *rest
        )
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


def main() -> int:
    """Run every step within the deadline and say what each saw."""
    gateway = Gateway()
    status, text = gateway.ask(
        "POST", "/api/login", {"user": settings.read("ADMIN_USER"), "password": settings.read("ADMIN_PASSWORD")}
    )
    if status != http.HTTPStatus.OK:
        return fail(f"login answered {status}: {text[:200]}")
    gateway.token = json.loads(text)["token"]
    absent = [name for name in CANDIDATES if gateway.ask("GET", paper_path(name))[0] == http.HTTPStatus.NOT_FOUND]
    name = absent[0] if absent else CANDIDATES[0]
    status, text = gateway.ask("POST", paper_path(name) + "/crawl")
    if status != http.HTTPStatus.ACCEPTED:
        return fail(f"crawl of {name} answered {status}: {text[:200]}")
    print(f"crawling {name}", flush=True)
    page = f"/output/{paper_id.slug(name)}.html"
    links = [f"{paper_id.slug(reference)}.html" for reference in source.corpus()[name]["references"]]
    seen = wait(lambda: gateway.ask("GET", page), http.HTTPStatus.OK)
    if seen is None:
        return fail(f"{page} was not there after {DEADLINE_SECONDS} s: is each of the workers running?")
    missing = [link for link in links if link not in seen]
    if missing:
        return fail(f"{page} does not link {', '.join(missing)}")
    print(f"{page} links its {len(links)} citations")
    if absent:
        gateway.ask("DELETE", paper_path(name))
        if wait(lambda: gateway.ask("GET", page), http.HTTPStatus.NOT_FOUND) is None:
            return fail(f"{page} was not removed")
        print("removed again")
    return 0


def wait(ask: Callable[[], tuple[int, str]], wanted: int) -> str | None:
    """Return the text once the status is the wanted one, None at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        status, text = ask()
        if status == wanted:
            return text
        time.sleep(0.1)
    return None


def paper_path(name: str) -> str:
    """Return where the API keeps a paper."""
    return f"/api/papers/{quote(name, safe=':/')}"


def fail(reason: str) -> int:
    """Say why and return the exit code."""
    print(f"verify failed: {reason}", flush=True)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
