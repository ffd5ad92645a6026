"""Collect the next papers: those that are cited but not collected yet; with nothing left, refresh the oldest.

It ends well only when a paper was collected, as the database shows it: a task that was only queued is no success.
"""

import os
import time
from datetime import datetime

from sqlalchemy import select

from refnet_app import source, worker
from refnet_app.database import REFERENCED, Paper, session

PAPERS = int(os.environ.get("CRAWL_PAPERS", "3"))
DEADLINE_SECONDS = float(os.environ.get("CRAWL_SECONDS", "120"))
LOOK_SECONDS = 0.3


def main() -> int:
    """Queue the crawls, wait until they are collected, and say how many were."""
    names = choose()
    before = collected(names)
    for name in names:
        worker.crawl.delay(name)
    print(f"queued {', '.join(names)}", flush=True)
    deadline = time.monotonic() + DEADLINE_SECONDS
    done: set[str] = set()
    while len(done) < len(names) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        done = {name for name, at in collected(names).items() if before.get(name) != at}
    new = done - before.keys()
    print(f"collected {len(done)} of {len(names)}, {len(new)} of them for the first time", flush=True)
    for name in names:
        if name not in done:
            print(f"not collected within {DEADLINE_SECONDS:g} s: {name}: does the crawler run?", flush=True)
    return 0 if done else 1


def choose() -> list[str]:
    """Return the names to crawl: cited papers first, else the one looked at longest ago, else the corpus' first."""
    with session() as current:
        cited = select(Paper.id).where(Paper.status == REFERENCED).order_by(Paper.id).limit(PAPERS)
        oldest = select(Paper.id).order_by(Paper.updated_at).limit(1)
        names = list(current.scalars(cited)) or list(current.scalars(oldest))
    return names or [next(iter(source.corpus()))]


def collected(names: list[str]) -> dict[str, datetime]:
    """Return those of them that are collected, each with when it was last changed."""
    with session() as current:
        found = current.scalars(select(Paper).where(Paper.id.in_(names), Paper.status != REFERENCED))
        return {paper.id: paper.updated_at for paper in found}


if __name__ == "__main__":
    raise SystemExit(main())
