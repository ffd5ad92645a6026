"""Find the folders that ship beside the code: jobs, templates, monitoring; nobody else builds such paths."""

from __future__ import annotations

from pathlib import Path

from agent.errors import AgentError

_PACKAGE = Path(__file__).resolve().parent.parent


def asset_directory(name: str) -> Path:
    """Return the folder: inside an installed wheel, or beside the package in a checkout."""
    for place in (_PACKAGE / "_assets" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise AgentError(f"the folder {name} is missing from this installation", hint="install refnet-agent again")


def catalogue() -> dict[str, Path]:
    """Return the definition file of every service we ship, by name."""
    return {path.stem: path for path in sorted(asset_directory("jobs").glob("*.yaml"))}
