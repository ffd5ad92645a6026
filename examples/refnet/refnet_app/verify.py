"""Prove the system from the outside: log in, crawl a paper, see its page, follow a link, leave nothing behind."""

import http.client
import json
import os
import socket
import ssl
import sys
import time
from urllib.parse import quote, urlsplit

from refnet_app import paper_id, settings, source

DEADLINE_SECONDS = 60
CANDIDATES = ("arxiv:1802.05365", "arxiv:2006.11239", "arxiv:1310.4546", "arxiv:1406.1078")


class Failed(Exception):  # noqa: N818 - it reads as a sentence
    """A step did not show what it must."""


class Gateway(http.client.HTTPSConnection):
    """One HTTPS door, reached at an address of its own: its name need not resolve."""

    def __init__(self) -> None:
        """Read where it is and whom to trust."""
        url = urlsplit(os.environ["GATEWAY_URL"])
        context = ssl.create_default_context(cafile=os.environ["GATEWAY_CA"])
        super().__init__(url.hostname or "localhost", url.port, timeout=10, context=context)
        address, _, port = os.environ.get("GATEWAY_ADDRESS", url.netloc).rpartition(":")
        self._create_connection = lambda _, *rest: socket.create_connection((address, int(port)), *rest)
        self.token = ""

    def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, str]:
        """Return status and text of one request."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        self.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        with self.getresponse() as answer:
            return answer.status, answer.read().decode()

    def expect(self, wanted: int, method: str, path: str, body: dict[str, str] | None = None) -> str:
        """Return the text of a request that must be answered with this status."""
        status, text = self.ask(method, path, body)
        if status != wanted:
            raise Failed(f"{method} {path} answered {status}: {text[:200]}")
        return text

    def wait(self, wanted: int, path: str) -> str:
        """Return the text once a page has the status it must come to."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (found := self.ask("GET", path))[0] != wanted:
            if time.monotonic() > deadline:
                raise Failed(f"{path} still answers {found[0]} after {DEADLINE_SECONDS} s: is each worker running?")
            time.sleep(0.1)
        return found[1]


def check(gateway: Gateway) -> None:
    """Run every step and say what each saw."""
    login = {"user": settings.read("ADMIN_USER"), "password": settings.read("ADMIN_PASSWORD")}
    gateway.token = json.loads(gateway.expect(200, "POST", "/api/login", login))["token"]
    absent = [name for name in CANDIDATES if gateway.ask("GET", path_of(name))[0] == http.HTTPStatus.NOT_FOUND]
    name = [*absent, *CANDIDATES][0]
    gateway.expect(202, "POST", path_of(name) + "/crawl")
    page = f"/output/{paper_id.slug(name)}.html"
    links = [f"{paper_id.slug(reference)}.html" for reference in source.corpus()[name]["references"]]
    seen = gateway.wait(200, page)
    if missing := [link for link in links if link not in seen]:
        raise Failed(f"{page} does not link {', '.join(missing)}")
    gateway.expect(200, "GET", f"/output/{links[0]}")
    print(f"{page} links its {len(links)} citations, and the first one's page is there")
    if absent:
        gateway.expect(202, "DELETE", path_of(name))
        gateway.wait(404, page)
        print("removed again")


def path_of(name: str) -> str:
    """Return where the API keeps a paper."""
    return f"/api/papers/{quote(name, safe=':/')}"


if __name__ == "__main__":
    try:
        check(Gateway())
    except (Failed, OSError) as problem:
        sys.exit(f"verify failed: {problem}")
