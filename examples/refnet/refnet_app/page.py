"""The pages of papers, in Markdown and HTML, each written whole or not at all."""

import html
import os
import tempfile
from pathlib import Path

from refnet_app import paper_id, settings
from refnet_app.database import Paper


def folder() -> Path:
    """Return where pages are kept."""
    return Path(settings.read("OUTPUT_DIR"))


def write(paper: Paper, cited: list[Paper]) -> None:
    """Write both forms; every link leads to a page, because a paper that is only cited has one too."""
    about = [f"{', '.join(paper.authors)} ({paper.year or 'undated'})", paper.summary or "Not collected yet."]
    source, links = paper_id.home(paper.id), [(each.title, f"{paper_id.slug(each.id)}.html") for each in cited]
    markdown = f"# {paper.title}\n\n" + "\n\n".join([*about, f"[The paper]({source})", "## Cites", ""])
    markdown += "".join(f"- [{title}]({link.replace('.html', '.md')})\n" for title, link in links)
    title, target = html.escape(paper.title), html.escape(source)
    text = "".join(f"<p>{html.escape(each)}</p>" for each in about)
    items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(name)}</a></li>' for name, link in links)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{text}'
        f'<p><a href="{target}">The paper</a></p><h2>Cites</h2><ul>{items}</ul></html>\n'
    )
    for suffix, content in (("md", markdown), ("html", page)):
        _replace(folder() / f"{paper_id.slug(paper.id)}.{suffix}", content)


def remove(name: str) -> None:
    """Remove both forms of a paper's page."""
    for suffix in ("md", "html"):
        (folder() / f"{paper_id.slug(name)}.{suffix}").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fchmod(stream.fileno(), 0o644)  # the gateway reads pages as another user, whatever our umask is
        os.fsync(stream.fileno())
    Path(temporary).rename(path)
