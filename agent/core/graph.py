"""Order services by what they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter


def dependency_order(edges: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the names so that each stands after all it depends on, stable by name; cycles were refused by config."""
    sorter = TopologicalSorter({name: sorted(set(needs) & edges.keys()) for name, needs in sorted(edges.items())})
    return tuple(sorter.static_order())


def dependents(edges: Mapping[str, Iterable[str]], name: str) -> frozenset[str]:
    """Return every service that needs `name`, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        for other, needs in edges.items():
            if current in needs and other not in found:
                found.add(other)
                waiting.append(other)
    return frozenset(found)
