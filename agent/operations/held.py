"""Services the operator stopped by hand: they stay down until started by hand."""

from __future__ import annotations

from collections.abc import Iterable

from agent.model.home import Home
from agent.system.files import write_atomic


def held_services(home: Home) -> frozenset[str]:
    """Return the names of the services held down."""
    try:
        return frozenset((home.root / "held").read_text().split())
    except FileNotFoundError:
        return frozenset()


def hold(home: Home, services: Iterable[str]) -> None:
    """Hold these services down from now on."""
    write_atomic(home.root / "held", "\n".join(sorted(held_services(home) | set(services))))


def release_hold(home: Home, services: Iterable[str]) -> None:
    """Let these services be started again."""
    write_atomic(home.root / "held", "\n".join(sorted(held_services(home) - set(services))))
