"""Which event caused which: a rule a kind, so that no process has to know what another one has just written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OWN_END = ("stopping", "killed")
_APPLY = ("apply",)
_CHANGES = frozenset({"reload", "restart", "replace", "create", "remove", "start", "scale", "run", "migrating"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where to look for the cause: the last event of one of these kinds, of this instance or service, not too old.

    Empty `instance` and `service` mean anybody's.
    """

    kinds: tuple[str, ...]
    instance: str = ""
    service: str = ""
    within_seconds: float = 600.0


def cause_of(event: Mapping[str, Any]) -> Link | None:
    """Return where the cause of an event is to be found; None for one that begins a chain."""
    kind, cause = str(event.get("kind", "")), str(event.get("cause", ""))
    instance, service = str(event.get("instance", "")), str(event.get("service", ""))
    match kind:
        case "exited":
            return Link(kinds=_OWN_END, instance=instance) if cause == "stopping" else None
        case "killed":
            return Link(kinds=("stopping",), instance=instance)
        case "stopping":
            return (
                Link(kinds=("unhealthy",), instance=instance, within_seconds=30) if _is_ours(cause) else _apply(cause)
            )
        case "restarted":
            return Link(kinds=("backoff",) if cause == "back-off ended" else ("exited",), instance=instance)
        case "backoff" | "gave-up" | "complete" | "failed" | "stopped":
            return Link(kinds=("exited",), instance=instance)
        case "unhealthy":
            return Link(kinds=("check", "flapping"), instance=instance, within_seconds=3600)
        case "check" if cause.endswith("→ passing"):
            return Link(kinds=("restarted", "started"), instance=instance, within_seconds=300)
        case "left-alone" if cause.startswith("suffers from "):
            return Link(kinds=("check", "exited", "external-down"), service=cause.split()[2].rstrip(","))
        case "incident-opened":
            return Link(kinds=("check", "flapping", "exited", "external-down"), service=service)
        case "rolled-back":
            return Link(kinds=("apply-failed", "apply"))
        case "started":
            return _apply(cause)
        case _:
            return Link(kinds=_APPLY) if kind in _CHANGES | {"apply-failed", "released"} else None


def _is_ours(cause: str) -> bool:
    return cause.startswith(("check ", "uses "))


def _apply(cause: str) -> Link | None:
    return Link(kinds=_APPLY) if cause in {"apply", "start"} else None
