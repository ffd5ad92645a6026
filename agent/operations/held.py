"""Services the operator stopped by hand: they stay down until started by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.model.home import Home
from agent.operations.quarantine import set_aside
from agent.system.files import write_atomic

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def held_services(home: Home) -> frozenset[str]:
    """Return the names of the services held down; a corrupt file is put aside and holds nothing."""
    path = home.root / "held"
    try:
        names = path.read_bytes().decode("ascii").split()
    except FileNotFoundError:
        return frozenset()
    except UnicodeDecodeError:
        names = ["?"]
    if all(_NAME.fullmatch(name) for name in names):
        return frozenset(names)
    set_aside(home, path, reason="not a list of services", instead="no service counts as stopped by hand")
    return frozenset()


def hold(home: Home, services: Iterable[str]) -> None:
    """Hold these services down from now on."""
    write_atomic(home.root / "held", "\n".join(sorted(held_services(home) | set(services))))


def release_hold(home: Home, services: Iterable[str]) -> None:
    """Let these services be started again."""
    write_atomic(home.root / "held", "\n".join(sorted(held_services(home) - set(services))))
