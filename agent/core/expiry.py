"""When a pushed result is too old: Consul's TTL, on a clock that wall time cannot move.

Source: Consul's `CheckTTL`: every push arms the timer anew, and what expires keeps the last output. `now` and `at`
are seconds of CLOCK_MONOTONIC, the same for every process of one boot; they stand still while the machine sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.health import ProbeResult
from agent.model.check import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The timer of one ttl check: which push it has seen last, and when; `expired` once that was told."""

    generation: str
    boot: str
    identity: str
    at: float
    expired: bool = False


def arm(armed: Armed | None, *, generation: str, boot: str, identity: str, own: bool, now: float) -> tuple[Armed, bool]:
    """Return the timer after one look, and whether a new push is there.

    A process that has just started owes nothing until its ttl is over. At first sight, only a push that is its `own`,
    written since it started, counts: its predecessor's says nothing about it.
    """
    same = armed is not None and (armed.generation, armed.boot) == (generation, boot)
    if armed is None or not same:
        return Armed(generation=generation, boot=boot, identity=identity, at=now), own
    if armed.identity != identity:
        return Armed(generation=generation, boot=boot, identity=identity, at=now), True
    return armed, False


def is_expired(armed: Armed, *, ttl: float, now: float) -> bool:
    """Whether nothing was pushed for longer than `ttl` seconds."""
    return now - armed.at > ttl


def expired_result(last_output: str) -> ProbeResult:
    """Return the result of a check whose time is over; it does not wait for thresholds."""
    output = f"TTL expired; the last output was: {last_output}" if last_output else "TTL expired: nothing was pushed"
    return ProbeResult(status=Status.CRITICAL, output=output, decisive=True)
