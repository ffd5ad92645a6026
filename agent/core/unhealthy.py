"""When a running instance that fails its checks is restarted: Nomad's `check_restart`, by monotonic seconds.

Source: Nomad's check watcher. A check that has been bad for `interval * (limit - 1)` since it was first seen bad
after the grace restarts its instance; one pass forgives everything; every start begins a new grace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.model.check import Check, CheckRestart, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Since when, on the monotonic clock, one check of one generation of an instance has been bad."""

    generation: str
    bad_since: float | None = None


def be_patient(
    patience: Patience | None,
    *,
    policy: CheckRestart,
    status: Status,
    generation: str,
    started: float,
    now: float,
) -> Patience:
    """Return the patience after one look; `started` and `now` are monotonic seconds."""
    if patience is None or patience.generation != generation:
        patience = Patience(generation=generation)
    bad = status is Status.CRITICAL or (status is Status.WARNING and not policy.ignore_warnings)
    if not bad or now < started + policy.grace.total_seconds():
        return Patience(generation=generation)
    return patience if patience.bad_since is not None else Patience(generation=generation, bad_since=now)


def is_exhausted(patience: Patience, check: Check, policy: CheckRestart, *, now: float) -> bool:
    """Whether the instance must be restarted for this check."""
    if policy.limit <= 0 or patience.bad_since is None:
        return False
    return now - patience.bad_since >= check.interval.total_seconds() * (policy.limit - 1)


def spend(recent: Iterable[float], *, limit: int, interval: float, now: float) -> tuple[bool, tuple[float, ...]]:
    """Return whether the host's budget allows one more restart, and the restarts that count from now on."""
    counted = tuple(moment for moment in recent if now - interval < moment <= now)
    if len(counted) >= limit:
        return False, counted
    return True, (*counted, now)
