"""Which services suffer from another's failure: they are left alone, and not reported apart."""

from __future__ import annotations

from collections.abc import Mapping

from agent.model.service import Dependency, OnFailure


def failing_ancestors(
    name: str, edges: Mapping[str, Mapping[str, Dependency]], failing: frozenset[str]
) -> tuple[str, ...]:
    """Return the failing services that this one rests on, nearest first; edges set to `ignore` do not count."""
    found: list[str] = []
    seen = {name}
    level = [name]
    while level:
        following: list[str] = []
        for each in level:
            for needed, edge in sorted(edges.get(each, {}).items()):
                if needed in seen or edge.on_failure is OnFailure.IGNORE:
                    continue
                seen.add(needed)
                if needed in failing:
                    found.append(needed)
                following.append(needed)
        level = following
    return tuple(found)


def root_causes(failing: frozenset[str], edges: Mapping[str, Mapping[str, Dependency]]) -> dict[str, tuple[str, ...]]:
    """Return each root failure with the failing services that are explained by it; a service can have two roots."""
    explained: dict[str, list[str]] = {}
    for name in sorted(failing):
        ancestors = failing_ancestors(name, edges, failing)
        roots = [each for each in ancestors if not failing_ancestors(each, edges, failing)] or [name]
        for root in roots:
            explained.setdefault(root, [])
            if root != name:
                explained[root].append(name)
    return {root: tuple(names) for root, names in explained.items()}
