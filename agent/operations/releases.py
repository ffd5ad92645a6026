"""Numbered snapshots of everything applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from agent.errors import AgentError, StateUnreadable
from agent.model.desired import Desired
from agent.model.home import Home
from agent.system.files import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One applied state; `completed` names the one-shots that had ended well by then."""

    number: int
    at: datetime
    cause: str
    desired: Desired
    base: str = ""
    migrated: bool = False
    completed: tuple[str, ...] = field(default=())


def numbers(home: Home) -> tuple[int, ...]:
    """Return the numbers of the stored releases, oldest first."""
    return tuple(sorted(int(path.parent.name) for path in home.releases.glob("[0-9]*/release.json")))


def newest_number(home: Home) -> int:
    """Return the number of the newest release, 0 when there is none; costs one look at a folder."""
    return max(numbers(home), default=0)


def load_release(home: Home, number: int) -> Release:
    """Return that release; raise AgentError when it does not exist, StateUnreadable when it is corrupt."""
    path = home.releases / str(number) / "release.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError as error:
        known = ", ".join(map(str, numbers(home))) or "none"
        raise AgentError(f"there is no release {number}; stored: {known}", hint="refnet-agent release list") from error
    except msgspec.DecodeError as error:
        raise StateUnreadable(f"{path}: {error}", hint="apply again to store a new release") from error


def latest(home: Home) -> Release | None:
    """Return the newest release that can be read; a corrupt newer one is passed over."""
    for number in reversed(numbers(home)):
        try:
            return load_release(home, number)
        except StateUnreadable:
            continue
    return None


def store_release(home: Home, release: Release) -> None:
    """Write the job specs, then the release itself: a crash in between leaves no release."""
    folder = home.releases / str(release.number)
    folder.mkdir(parents=True, exist_ok=True)
    home.releases.chmod(0o700)
    for name, text in release.desired.job_specs.items():
        write_atomic(folder / "nomad" / f"{name}.nomad.hcl", text)
    write_atomic(folder / "release.json", msgspec.json.encode(release))
