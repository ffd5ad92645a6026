"""Put a corrupt file of our own aside: named aloud, kept for whoever wants to look, and never in the way again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from agent.model.home import Home
from agent.operations.events import record

_ASIDE = ".corrupt-"


def set_aside(home: Home, path: Path, *, reason: str, instead: str) -> None:
    """Rename the file under the first free number and say so; `instead` says what is used now.

    Nothing is raised: a file that cannot be renamed is only named.
    """
    number = 1
    while (aside := path.with_name(f"{path.name}{_ASIDE}{number}")).exists():
        number += 1
    moved = "left where it is"
    with contextlib.suppress(OSError):
        path.rename(aside)
        moved = f"kept as {aside.name}"
    record(home.events, kind="quarantined", cause=reason, detail=str(path))
    logging.getLogger(__name__).warning("warning: %s is corrupt (%s): %s; %s", path, reason, moved, instead)


def found_aside(home: Home) -> Iterator[Path]:
    """Yield the files that were put aside and are still there."""
    for pattern in (f"*{_ASIDE}*", f"releases/*/*{_ASIDE}*", f"instances/*/*{_ASIDE}*"):
        yield from sorted(home.root.glob(pattern))
