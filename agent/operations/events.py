"""Record facts with their causes in the inbox every process shares, keepers too: one JSON object a line.

The inbox is taken into the database by whoever reads (agent.operations.inbox); nobody who appends ever waits.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path

_LIMIT = 4000
_MOST_BYTES = 64 * 1024 * 1024
"""Only where nobody could read for long: then the newest are worth more than a full disk."""


def record(
    path: Path,
    *,
    kind: str,
    service: str = "",
    instance: str = "",
    cause: str = "",
    detail: str = "",
    who: str = "",
    **facts: object,
) -> None:
    """Append one event; a full disk loses the event, never the action. `facts` are further keys, such as `attempt`."""
    event = {
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "service": service,
        "instance": instance,
        "kind": kind,
        "cause": cause,
        "detail": detail[:_LIMIT],
        "who": who or operator(),
        **facts,
    }
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(event, ensure_ascii=False, default=str).encode() + b"\n")
            if os.fstat(descriptor).st_size > _MOST_BYTES:
                path.rename(path.with_name(f"{path.name}.1"))
        finally:
            os.close(descriptor)


@functools.cache
def operator() -> str:
    """Return who typed the command: behind sudo, the one who called it."""
    if os.geteuid() == 0 and (name := os.environ.get("SUDO_USER")):
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
