"""Recorded facts with their causes, shared with the keepers: one JSON object a line, appended whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LIMIT = 4000


def record(path: Path, *, kind: str, service: str = "", instance: str = "", cause: str = "", detail: str = "") -> None:
    """Append one event; a full disk loses the event, never the action."""
    event = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "service": service,
        "instance": instance,
        "kind": kind,
        "cause": cause,
        "detail": detail[:_LIMIT],
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, json.dumps(event, ensure_ascii=False).encode() + b"\n")
    except OSError:
        return
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events, oldest first; a torn line is skipped."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
