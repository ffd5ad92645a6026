"""From results of probes to the status of a check, and from checks to a verdict: Consul's rules, without a clock.

Sources: Consul's check handler for thresholds and counters (the very first result applies at once, because counters
start at their thresholds), Monit's "X of Y" for flapping, which consecutive counters never see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.model.check import Check, Status

_RANK = {Status.PASSING: 0, Status.WARNING: 1, Status.CRITICAL: 2}
_CHANGES_TO_FLAP = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One run of one check; a `decisive` failure (a timeout, a command that cannot start) skips the thresholds."""

    status: Status
    output: str
    decisive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckState:
    """What is known of one check of one instance.

    `history` holds the last results, newest last, as `0` good and `1` bad; `since` is when the status began and
    `checked_at` when it was last looked at, both wall time, for people.
    """

    status: Status
    output: str = ""
    successes: int = 0
    failures: int = 0
    history: str = ""
    flapping: bool = False
    since: datetime
    checked_at: datetime

    @property
    def is_bad(self) -> bool:
        """Whether the check is critical."""
        return self.status is Status.CRITICAL


def advance(check: Check, state: CheckState | None, result: ProbeResult, now: datetime) -> CheckState:
    """Return the check's state after one more result; None is a check that never ran."""
    bad = result.status is Status.CRITICAL
    successes, failures = _count(check, state, bad=bad)
    status = _status(check, state, result, successes=successes, failures=failures)
    history = ((state.history if state else "") + ("1" if bad else "0"))[-check.flapping.of :]
    before = state.flapping if state else False
    since = state.since if state is not None and state.status is status else now
    return CheckState(
        status=status,
        output=result.output,
        successes=successes,
        failures=failures,
        history=history,
        flapping=_flapping(check, history, before=before),
        since=since,
        checked_at=now,
    )


def _count(check: Check, state: CheckState | None, *, bad: bool) -> tuple[int, int]:
    # Counters never pass the largest threshold: a steady check then has a steady state, and nothing to write.
    enough = max(check.success_before_passing, 1)
    many = max(check.failures_before_critical, check.failures_before_warning or 0, 1)
    if state is None:
        return (0, many) if bad else (enough, 0)
    return (0, min(state.failures + 1, many)) if bad else (min(state.successes + 1, enough), 0)


def _status(check: Check, state: CheckState | None, result: ProbeResult, *, successes: int, failures: int) -> Status:
    if state is None or (result.decisive and result.status is Status.CRITICAL):
        return result.status
    if result.status is not Status.CRITICAL:
        return result.status if successes >= check.success_before_passing else state.status
    before_critical = check.failures_before_critical
    before_warning = before_critical if check.failures_before_warning is None else check.failures_before_warning
    if failures >= before_critical:
        return Status.CRITICAL
    return Status.WARNING if failures >= before_warning else state.status


def _flapping(check: Check, history: str, *, before: bool) -> bool:
    bad = history.count("1")
    changes = sum(one != other for one, other in zip(history, history[1:], strict=False))
    if before:
        # It has calmed down only when the whole window agrees.
        return changes > 0
    return bad >= check.flapping.bad and changes >= _CHANGES_TO_FLAP


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of the statuses; none at all is passing."""
    return max(statuses, key=_RANK.__getitem__, default=Status.PASSING)
