"""Where papers come from: the corpus shipped with the application, or Semantic Scholar."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from refnet_app import paper_id, settings

FIELDS = "title,year,authors,abstract,externalIds"
REQUESTED = FIELDS + "".join(f",references.{name}" for name in ("title", "year", "authors", "externalIds"))


class PaperNotFoundError(Exception):
    """The source has no such paper."""


class SourceUnavailableError(Exception):
    """The source gives no answer now; retry_after is the wait it asked for, in seconds, or 0."""

    def __init__(self, reason: str, retry_after: int = 0) -> None:
        """Keep the reason and the wait."""
        super().__init__(reason, retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPaper:
    """What a source says of one paper."""

    id: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    text: str = ""
    references: tuple["FoundPaper", ...] = ()


def fetch(name: str) -> FoundPaper:
    """Return one paper and the papers it cites."""
    return (
        fetch_from_semantic_scholar(name) if settings.read("SOURCE") == "semantic-scholar" else fetch_from_corpus(name)
    )


@cache
def corpus() -> dict[str, dict[str, Any]]:
    """Return the papers shipped with the application, by name."""
    entries = json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in entries}


def fetch_from_corpus(name: str) -> FoundPaper:
    """Return one paper of the corpus."""
    if name not in corpus():
        raise PaperNotFoundError(f"{name} is not in the corpus")
    entry = corpus()[name]
    cited = (corpus()[reference] for reference in entry["references"])
    references = tuple(
        FoundPaper(id=each["id"], title=each["title"], authors=tuple(each["authors"]), year=each["year"])
        for each in cited
    )
    return FoundPaper(
        id=name,
        title=entry["title"],
        authors=tuple(entry["authors"]),
        year=entry["year"],
        text=entry["text"],
        references=references,
    )


def fetch_from_semantic_scholar(name: str) -> FoundPaper:
    """Return one paper as Semantic Scholar's graph API knows it."""
    scheme, _, number = name.partition(":")
    asked = number if scheme == "s2" else f"{scheme.upper()}:{number}"
    try:
        answer = httpx.get(
            f"{settings.read('SEMANTIC_SCHOLAR_URL')}/paper/{asked}", params={"fields": REQUESTED}, timeout=10
        )
    except httpx.TransportError as error:
        raise SourceUnavailableError(f"no answer from Semantic Scholar: {error}") from error
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise PaperNotFoundError(f"{name} is not known to Semantic Scholar")
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
        wait = answer.headers.get("Retry-After", "")
        raise SourceUnavailableError(
            f"Semantic Scholar answered {answer.status_code}", int(wait) if wait.isdecimal() else 0
        )
    answer.raise_for_status()
    return decode(answer.json(), name)


def decode(entry: dict[str, Any], name: str) -> FoundPaper:
    """Return a paper from Semantic Scholar's words, which leave out or null what is not known."""
    references = {}
    for each in entry.get("references") or ():
        known_as = choose_name(each)
        if known_as and known_as != name and each.get("title"):
            references[known_as] = decode(each, known_as)
    return FoundPaper(
        id=name,
        title=entry["title"],
        authors=tuple(author["name"] for author in entry.get("authors") or ()),
        year=entry.get("year"),
        text=entry.get("abstract") or "",
        references=tuple(references.values()),
    )


def choose_name(entry: dict[str, Any]) -> str:
    """Return a reference's name, by arXiv where it has one, then by DOI, or nothing where none can be used."""
    numbers = entry.get("externalIds") or {}
    for scheme, number in (("arxiv", numbers.get("ArXiv")), ("doi", numbers.get("DOI")), ("s2", entry.get("paperId"))):
        try:
            return paper_id.normalise(f"{scheme}:{number or ''}")
        except ValueError:
            continue
    return ""
