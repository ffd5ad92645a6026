"""What apply will do, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Consequence(StrEnum):
    """What a change costs, in the order of growing cost."""

    NOOP = "no-op"
    UPDATE = "update"
    SCALE = "scale"
    RELOAD = "reload"
    START = "start"
    STOP = "stop"
    RUN = "run"
    CREATE = "create"
    RESTART = "restart"
    REPLACE = "replace"
    REMOVE = "remove"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One service's consequence, with its causes; `after` names the services to wait for."""

    service: str
    consequence: Consequence
    causes: tuple[str, ...] = ()
    protected: bool = False
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every change, in dependency order; no-ops are kept apart so that they can say why."""

    changes: tuple[Change, ...] = ()
    unchanged: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing, not even something pending, is left to do."""
        return not self.changes

    @property
    def actionable(self) -> tuple[Change, ...]:
        """The changes apply will carry out."""
        return tuple(change for change in self.changes if change.consequence is not Consequence.PENDING)
