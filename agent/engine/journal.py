"""Read an instance's output from the journal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from agent.errors import EngineFailed
from agent.model.instance import LogLine
from agent.system.command import run

_SECONDS = 120.0
_SYNC_SECONDS = 10.0


def read(unit: str, instance: str, *, user: bool, lines: int | None, since: datetime | None) -> Iterator[LogLine]:
    """Yield what the journal holds of the unit's processes now."""
    # What was said a moment ago may still be on its way to the disk.
    run(("journalctl", "--sync"), timeout=_SYNC_SECONDS, check=False)
    done = run(_command(unit, user=user, lines=lines, since=since), timeout=_SECONDS, check=False)
    if done.code != 0 and done.error.strip():
        raise EngineFailed(f"{instance}: the journal cannot be read: {done.said}", hint="is systemd-journald running?")
    return (line for raw in done.output.splitlines() if (line := _line(raw, instance)) is not None)


def follow(unit: str, instance: str, *, user: bool, lines: int | None, since: datetime | None) -> Iterator[LogLine]:
    """Yield what is there and then what comes, until the caller stops asking."""
    command = (*_command(unit, user=user, lines=lines, since=since), "--follow")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        try:
            for raw in tail.stdout or ():
                if (line := _line(raw.decode(errors="replace"), instance)) is not None:
                    yield line
        finally:
            tail.kill()


def has_said(unit: str, invocation: str, words: str, *, user: bool) -> bool:
    """Return whether this start of the unit has printed a line with these words."""
    command = ("journalctl", "--quiet", "--no-pager", "--output=cat", "--all", *_matches(unit, user=user))
    done = run((*command, f"_SYSTEMD_INVOCATION_ID={invocation}"), timeout=_SECONDS, check=False)
    return any(words in line for line in done.output.splitlines())


def _command(unit: str, *, user: bool, lines: int | None, since: datetime | None) -> tuple[str, ...]:
    command = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE", "--all"]
    command.append(f"--lines={'all' if lines is None else lines}")
    command += [f"--since=@{since.timestamp():.6f}"] if since is not None else []
    return (*command, *_matches(unit, user=user))


def _matches(unit: str, *, user: bool) -> tuple[str, ...]:
    return (f"{'_SYSTEMD_USER_UNIT' if user else '_SYSTEMD_UNIT'}={unit}",)


def _line(raw: str, instance: str) -> LogLine | None:
    try:
        entry: Mapping[str, Any] = json.loads(raw)
        at = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
    except (ValueError, KeyError, TypeError):
        return None
    message = entry.get("MESSAGE") or ""
    # A list of numbers is a line that is not UTF-8.
    text = bytes(message).decode(errors="replace") if isinstance(message, list) else str(message)
    return LogLine(at=at, instance=instance, text=text)
