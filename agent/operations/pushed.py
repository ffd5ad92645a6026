"""Results that a service, or a person, pushes for a `ttl` check: one small file, so that no daemon need be there.

The first line is `passing`, `warning` or `critical`, what follows is shown to people. Services write to
`$CHECK_FILES/$INSTANCE.NAME`; that folder is theirs, its parent is not.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from agent.core.health import ProbeResult
from agent.model.check import Check, Status
from agent.model.home import Home
from agent.system.files import write_atomic

_MOST_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One pushed result; `identity` changes with every push, `written` is its wall time in seconds."""

    identity: str
    written: float
    result: ProbeResult


def push_path(home: Home, *, service: str, instance: str, check: Check) -> Path:
    """Return the file in which results of this check are pushed."""
    return home.check_files(service) / f"{instance}.{check.title.replace('/', '_')}"


def write_push(path: Path, status: Status, output: str) -> None:
    """Push a result; the service can still write the next one itself."""
    owner = path.parent.stat()
    write_atomic(path, f"{status}\n{output}\n", mode=0o644, owner=(owner.st_uid, owner.st_gid))


def read_push(path: Path, *, most: int) -> Push | None:
    """Return the newest push, None when there is none; words that are no status are critical."""
    try:
        # The folder belongs to the service: neither follow its links nor wait for its pipes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        first, _, rest = stream.read(_MOST_BYTES).decode(errors="replace").partition("\n")
    identity, written = f"{found.st_ino}.{found.st_mtime_ns}", found.st_mtime
    word = first.strip().lower()
    if word not in set(Status):
        output = f"expected passing, warning or critical in the first line, found {word[:40]!r}"
        return Push(identity=identity, written=written, result=ProbeResult(status=Status.CRITICAL, output=output))
    result = ProbeResult(status=Status(word), output=rest.strip()[:most])
    return Push(identity=identity, written=written, result=result)
