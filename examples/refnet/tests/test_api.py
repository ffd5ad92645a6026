"""The API as a caller meets it, its database real."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from refnet_app import api, worker

NAME = "/api/papers/arxiv:1802.05365"


@pytest.fixture
def client() -> Iterator[TestClient]:
    """A caller that sees a 500 as an answer, not as an exception."""
    with TestClient(api.app, raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def token(client: TestClient) -> dict[str, str]:
    """The header of who logged in."""
    answer = client.post("/api/login", json={"user": "admin", "password": "right"})
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_health_names_both_and_says_which_one_is_away(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "healthy", "database": "ok", "redis": "ok"}
    right = os.environ["REDIS_URL"]
    os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"
    try:
        answer = client.get("/health")
    finally:
        os.environ["REDIS_URL"] = right
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["database"]) == ("unhealthy", "ok")
    assert "refused" in answer.json()["redis"]


def test_changing_needs_a_login_and_reading_does_not(client: TestClient, token: dict[str, str]) -> None:
    assert client.post("/api/login", json={"user": "admin", "password": "wrong"}).status_code == 401
    assert client.post(f"{NAME}/crawl").status_code == 401
    assert client.post(f"{NAME}/crawl", headers={"Authorization": "Bearer x.y.z"}).status_code == 401

    answer = client.post(f"{NAME}/crawl", headers=token)

    assert (answer.status_code, answer.json()["page"]) == (202, "/output/arxiv-1802.05365.html")
    assert client.get(NAME).json()["status"] == "generated"
    assert [each["id"] for each in client.get(f"{NAME}/citations").json()] == ["doi:10.1162/neco.1997.9.8.1735"]
    assert client.get("/api/papers", params={"q": "CONTEXTUALIZED"}).json()["total"] == 1


def test_wrong_names_and_pages_are_refused(client: TestClient) -> None:
    assert client.get("/api/papers/not-a-name").status_code == 422
    assert client.get("/api/papers/arxiv:0000.00000").status_code == 404
    assert client.get("/api/papers", params={"limit": -1}).status_code == 422


def test_a_broker_that_is_away_is_503_at_once() -> None:
    program = (
        "from fastapi.testclient import TestClient; from refnet_app import api; c = TestClient(api.app)\n"
        "token = c.post('/api/login', json={'user': 'admin', 'password': 'right'}).json()['token']\n"
        f"a = c.post('{NAME}/crawl', headers={{'Authorization': 'Bearer ' + token}})\n"
        "print(a.status_code, a.headers['Retry-After'])\n"
    )
    environment = os.environ | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    words = (sys.executable, "-c", program)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.strip() == "503 10", done.stderr


def test_an_exception_is_counted_as_500_under_its_route(client: TestClient) -> None:
    @api.app.get("/broken")
    def broken() -> None:
        raise RuntimeError("broken on purpose")

    client.get("/broken")
    client.request("BREW", "/no/such/path")
    text = client.get("/metrics").text

    assert 'http_requests_total{method="GET",route="/broken",status="500"} 1.0' in text
    assert 'method="BREW"' not in text
    assert 'route="/no/such/path"' not in text


def test_papers_are_counted_by_status(client: TestClient) -> None:
    worker.crawl.delay("arxiv:1802.05365")

    text = client.get("/metrics").text

    assert 'refnet_papers_by_status{status="generated"} 1.0' in text
    assert 'refnet_papers_by_status{status="referenced"} 1.0' in text


@pytest.mark.parametrize(("given", "kept"), [("abcd-1234.ef", True), ("short", False), ("two words here", False)])
def test_a_request_id_is_kept_only_when_it_is_safe_to_repeat(client: TestClient, given: str, kept: bool) -> None:
    answer = client.get("/api/papers", headers={"X-Request-ID": given})

    assert (answer.headers["X-Request-ID"] == given) is kept
    assert len(answer.headers["X-Request-ID"]) >= 8
