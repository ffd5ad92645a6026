"""The restart decision: plain functions shared by the keeper and the rest of the agent.

The keeper imports this module, so it imports nothing itself.
"""

from __future__ import annotations

STABLE_AFTER = 10.0
FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0

RESTART = "restart"
WAIT = "wait"
GIVE_UP = "give-up"


def recent_failures(failures: list[float], *, interval: float, now: float) -> list[float]:
    """Return the failures that still count, oldest first."""
    return sorted(moment for moment in failures if now - interval < moment <= now)


def quick_exits_after(quick_exits: int, *, ran: float) -> int:
    """Return how many quick exits there were in a row, after one more run of `ran` seconds."""
    return 0 if ran >= STABLE_AFTER else quick_exits + 1


def automatic_delay(*, ran: float, quick_exits: int, by_signal: bool) -> float:
    """Return the back-off before the next start; `quick_exits` counts those before this exit."""
    if ran >= STABLE_AFTER:
        return 0.0
    if quick_exits == 0 and by_signal:
        # Somebody killed it once: that is no crash loop yet, and an outage counts in milliseconds.
        return 0.0
    # The exponent is bounded so that a counter of years cannot overflow a float.
    return float(min(FIRST_DELAY * 2 ** min(quick_exits, 16), LONGEST_DELAY))


def decide(
    *,
    attempts: int,
    interval: float,
    delay: float | None,
    mode: str,
    failures: list[float],
    ran: float,
    quick_exits: int,
    by_signal: bool,
    now: float,
) -> tuple[str, float, str]:
    """Return (verdict, seconds, reason) for an exit at `now`; `failures` are the earlier ones.

    `restart`: seconds is the delay; `wait`: seconds is the moment to start at; `give-up`: seconds is 0.
    """
    counted = [*recent_failures(failures, interval=interval, now=now), now]
    pause = automatic_delay(ran=ran, quick_exits=quick_exits, by_signal=by_signal) if delay is None else delay
    if len(counted) <= attempts:
        return RESTART, pause, f"attempt {len(counted)} of {attempts} in {interval:g} s"
    reason = f"{len(counted)} exits in {interval:g} s, {attempts} restarts allowed"
    if mode == "fail":
        return GIVE_UP, 0.0, reason
    released = counted[len(counted) - attempts - 1] + interval
    return WAIT, max(released, now + pause), reason
