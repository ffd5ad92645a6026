"""The page of a paper, in Markdown and HTML, written whole or not at all."""

import html
import os
import tempfile
from pathlib import Path

from refnet_app import paper_id, settings
from refnet_app.database import Paper

READABLE = 0o644


def write(paper: Paper, cited: list[Paper]) -> Path:
    """Write both pages and return the HTML one's path."""
    base = Path(settings.read("OUTPUT_DIR")) / paper_id.slug(paper.id)
    links = [(each.title, f"{paper_id.slug(each.id)}.html") for each in cited]
    authors = ", ".join(paper.authors)
    markdown = f"# {paper.title}\n\n{authors} ({paper.year})\n\n{paper.summary}\n\n## Cites\n\n"
    markdown += "".join(f"- [{title}]({link})\n" for title, link in links)
    items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(title)}</a></li>' for title, link in links)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(paper.title)}</title>'
        f"<h1>{html.escape(paper.title)}</h1><p>{html.escape(authors)} ({paper.year})</p>"
        f'<p>{html.escape(paper.summary or "")}</p><p><a href="{html.escape(paper_id.home(paper.id))}">the paper</a></p>'
        f"<h2>Cites</h2><ul>{items}</ul></html>\n"
    )
    _replace(base.with_name(f"{base.name}.md"), markdown)
    target = base.with_name(f"{base.name}.html")
    _replace(target, page)
    return target


def remove(name: str) -> None:
    """Remove both pages of a paper."""
    base = Path(settings.read("OUTPUT_DIR"))
    for suffix in ("md", "html"):
        (base / f"{paper_id.slug(name)}.{suffix}").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        # The gateway reads pages as another user, whatever our umask is.
        os.fchmod(stream.fileno(), READABLE)
        os.fsync(stream.fileno())
    Path(temporary).rename(path)
