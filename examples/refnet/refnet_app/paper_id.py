"""Names of papers: arxiv:1706.03762, doi:10.1038/323533a0, s2:<40 hexadecimal digits>."""

import re

PATTERN = re.compile(r"(arxiv|doi|s2):[a-z0-9][a-z0-9._/;()+-]{0,79}")
HOMES = {
    "arxiv": "https://arxiv.org/abs/",
    "doi": "https://doi.org/",
    "s2": "https://www.semanticscholar.org/paper/",
}


def normalise(text: str) -> str:
    """Return the one spelling of a paper's name, or raise ValueError."""
    name = text.strip().lower()
    if not PATTERN.fullmatch(name):
        raise ValueError(f"{text[:100]!r} names no paper: expected arxiv:NUMBER, doi:10.x/y or s2:HASH")
    return re.sub(r"v\d+$", "", name) if name.startswith("arxiv:") else name


def slug(name: str) -> str:
    """Return a file name without suffix, different for each paper and safe in a path and in a URL."""
    scheme, _, number = name.partition(":")
    escaped = re.sub(r"[^a-z0-9.-]", lambda sign: "_" if sign[0] == "/" else f"~{ord(sign[0]):02x}", number)
    return f"{scheme}-{escaped}"


def home(name: str) -> str:
    """Return where the paper itself is found."""
    scheme, _, number = name.partition(":")
    return HOMES[scheme] + number
