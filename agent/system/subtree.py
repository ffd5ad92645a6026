"""End everything a command started, wherever it hid: by a mark in the environment that every child inherits."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path

MARK = "REFNET_COMMAND"
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.01


def new_mark() -> str:
    """Return a mark no other command has."""
    return secrets.token_hex(16)


def end_marked(mark: str) -> bool:
    """Kill every process with the mark until there is none; False when some survive SIGKILL for two seconds.

    A session of its own (setsid) does not hide a process from this, a cleared environment does.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while found := _marked(mark):
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # A zombie has no environment any more: it is not found, and nothing is left to kill.
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
