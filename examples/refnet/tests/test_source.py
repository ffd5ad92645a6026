"""Semantic Scholar, as a server on this machine plays it."""

import http.server
import json
import os
import threading
from collections.abc import Iterator

import pytest

from refnet_app import paper_id, source, worker

HASH = "a" * 40
PAPER = {
    "title": "A Paper",
    "year": 2020,
    "authors": [{"name": "Ada"}],
    "abstract": None,
    "references": [
        {"title": "By arXiv", "externalIds": {"ArXiv": "1706.03762v5"}, "authors": None, "year": None},
        {"title": "By DOI", "externalIds": {"DOI": "10.1/X"}, "paperId": HASH},
        {"title": "By hash", "externalIds": None, "paperId": HASH},
        {"title": None, "externalIds": {"DOI": "10.1/no-title"}},
        {"title": "Nothing to name it by", "externalIds": {}},
    ],
}


class Scholar(http.server.BaseHTTPRequestHandler):
    """Answers by the paper's number."""

    asked: list[str] = []  # noqa: RUF012 - one server at a time

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        code = {"ARXIV:0429.00000": 429, "ARXIV:0500.00000": 500, "ARXIV:0404.00000": 404}
        status = code.get(self.path.split("/paper/")[1].split("?")[0], 200)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(json.dumps(PAPER).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def scholar() -> Iterator[None]:
    """Serve, and have the application ask here."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scholar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ |= {"SOURCE": "semantic-scholar", "SEMANTIC_SCHOLAR_URL": f"http://127.0.0.1:{server.server_port}"}
        yield
        os.environ["SOURCE"] = "corpus"
        server.shutdown()


def test_a_paper_is_decoded_and_what_is_null_is_left_out() -> None:
    found = source.fetch("arxiv:2001.00001")

    assert (found.title, found.authors, found.year, found.text) == ("A Paper", ("Ada",), 2020, "")
    assert [each.id for each in found.references] == ["arxiv:1706.03762", "doi:10.1/x", f"s2:{HASH}"]
    assert Scholar.asked[-1].startswith("/paper/ARXIV:2001.00001?fields=")


def test_too_many_requests_carry_the_wait_they_ask_for() -> None:
    with pytest.raises(source.SourceUnavailableError) as caught:
        source.fetch("arxiv:0429.00000")
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("name", ["arxiv:0500.00000"])
def test_a_failing_server_may_be_asked_again(name: str) -> None:
    with pytest.raises(source.SourceUnavailableError):
        source.fetch(name)


def test_an_unknown_paper_is_final() -> None:
    with pytest.raises(source.PaperNotFoundError):
        source.fetch("arxiv:0404.00000")


def test_nobody_at_the_address_may_be_asked_again() -> None:
    os.environ["SEMANTIC_SCHOLAR_URL"] = "http://127.0.0.1:1"
    with pytest.raises(source.SourceUnavailableError, match="no answer"):
        source.fetch("arxiv:2001.00001")


def test_no_wait_is_longer_than_a_message_stays_invisible() -> None:
    assert worker.LONGEST_WAIT < worker.VISIBLE_AGAIN
    assert worker.LONGEST_TASK < worker.VISIBLE_AGAIN


def test_the_corpus_is_whole() -> None:
    papers = source.corpus()

    assert len(papers) >= 60
    assert all(paper_id.normalise(name) == name for name in papers)
    assert all(set(paper["references"]) <= papers.keys() - {name} for name, paper in papers.items())
    assert len({paper_id.slug(name) for name in papers}) == len(papers)
    assert all(paper["title"] and paper["authors"] and 1900 < paper["year"] < 2025 for paper in papers.values())
