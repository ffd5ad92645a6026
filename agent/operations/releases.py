"""Numbered snapshots of everything applied."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import msgspec

from agent.errors import AgentError, StateUnreadable
from agent.model.desired import Desired
from agent.model.home import Home
from agent.operations.quarantine import set_aside
from agent.system.accounts import operator_name
from agent.system.files import write_atomic

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One applied state and who applied it; `completed` names the one-shots that had ended well by then."""

    number: int
    at: datetime
    cause: str
    desired: Desired
    base: str = ""
    migrated: bool = False
    completed: tuple[str, ...] = field(default=())
    by: str = ""


def numbers(home: Home) -> tuple[int, ...]:
    """Return the numbers of the stored releases, oldest first."""
    return tuple(sorted(int(path.parent.name) for path in home.releases.glob("[0-9]*/release.json")))


def newest_number(home: Home) -> int:
    """Return the number of the newest release, 0 when there is none; costs one look at a folder."""
    return max(numbers(home), default=0)


def release_path(home: Home, number: int) -> Path:
    """Return where a release is kept."""
    return home.releases / str(number) / "release.json"


def load_release(home: Home, number: int) -> Release:
    """Return that release; raise AgentError when it does not exist, StateUnreadable when it is corrupt."""
    path = release_path(home, number)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError as error:
        known = ", ".join(map(str, numbers(home))) or "none"
        raise AgentError(f"there is no release {number}; stored: {known}", hint="refnet-agent release list") from error
    except msgspec.DecodeError as error:
        raise StateUnreadable(f"{path}: {error}", hint="apply again to store a new release") from error


def latest(home: Home) -> Release | None:
    """Return the newest release that can be read; a newer one that is torn is put aside and named."""
    for number in reversed(numbers(home)):
        path = release_path(home, number)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Release)
        except FileNotFoundError:
            continue
        except msgspec.ValidationError as error:
            # Whole, but written by another version of the agent: not ours to put aside.
            _LOG.warning("warning: %s is passed over: %s", path, error)
        except msgspec.DecodeError as error:
            set_aside(home, path, reason=str(error), instead="the release before it is used")
    return None


def store_release(home: Home, release: Release) -> None:
    """Write the job specs, then the release itself with who applied it: a crash in between leaves no release."""
    folder = home.releases / str(release.number)
    folder.mkdir(parents=True, exist_ok=True)
    home.releases.chmod(0o700)
    for name, text in release.desired.job_specs.items():
        write_atomic(folder / "nomad" / f"{name}.nomad.hcl", text)
    write_atomic(folder / "release.json", msgspec.json.encode(replace(release, by=release.by or operator_name())))
