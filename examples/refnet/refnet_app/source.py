"""Where papers come from: the corpus shipped with the application, or Semantic Scholar."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from refnet_app import paper_id, settings

FIELDS = ("title", "year", "authors", "externalIds")
REQUESTED = ",".join((*FIELDS, "abstract", *(f"references.{name}" for name in FIELDS)))


class PaperNotFoundError(Exception):
    """The source has no such paper; asking again does not help."""


class SourceUnavailableError(Exception):
    """The source gives no answer now; retry_after is the wait it asked for, in seconds, or 0."""

    retry_after = 0


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
    online = settings.read("SOURCE") == "semantic-scholar"
    return fetch_from_semantic_scholar(name) if online else fetch_from_corpus(name)


@cache
def corpus() -> dict[str, dict[str, Any]]:
    """Return the papers shipped with the application, by name."""
    entries = json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in entries}


def fetch_from_corpus(name: str, *, whole: bool = True) -> FoundPaper:
    """Return one paper of the corpus; one that is only cited has no text and no references."""
    if name not in corpus():
        raise PaperNotFoundError(f"{name} is not in the corpus")
    entry = corpus()[name]
    references = tuple(fetch_from_corpus(each, whole=False) for each in entry["references"]) if whole else ()
    known = {key: entry[key] for key in ("id", "title", "year")}
    return FoundPaper(
        **known, authors=tuple(entry["authors"]), text=entry["text"] if whole else "", references=references
    )


def fetch_from_semantic_scholar(name: str) -> FoundPaper:
    """Return one paper as Semantic Scholar's graph API knows it."""
    scheme, _, number = name.partition(":")
    asked = number if scheme == "s2" else f"{scheme.upper()}:{number}"
    url = f"{settings.read('SEMANTIC_SCHOLAR_URL')}/paper/{asked}"
    try:
        answer = httpx.get(url, params={"fields": REQUESTED}, timeout=10)
    except httpx.TransportError as error:
        raise SourceUnavailableError(f"no answer from Semantic Scholar: {error}") from error
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
        problem = SourceUnavailableError(f"Semantic Scholar answered {answer.status_code}")
        wait = answer.headers.get("Retry-After", "")
        problem.retry_after = int(wait) if wait.isdecimal() else 0
        raise problem
    if answer.is_error:
        raise PaperNotFoundError(f"Semantic Scholar answered {answer.status_code} for {name}")
    return decode(answer.json(), name)


def decode(entry: dict[str, Any], name: str) -> FoundPaper:
    """Return a paper from Semantic Scholar's words, which leave out or null what is not known."""
    named = {choose_name(each): each for each in entry.get("references") or () if each.get("title")}
    return FoundPaper(
        id=name,
        title=entry["title"],
        authors=tuple(author["name"] for author in entry.get("authors") or ()),
        year=entry.get("year"),
        text=entry.get("abstract") or "",
        references=tuple(decode(each, known) for known, each in named.items() if known not in {"", name}),
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
