"""What becomes of moments at which scheduled work was due, and how a piece of it is; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from agent.core.schedule import Schedule, missed_between
from agent.model.periodic import CatchUp

PROMPT = timedelta(seconds=60)
"""A run that starts this late is still on time."""
CORRECTION = timedelta(hours=3)
"""A clock set back by more was wrong before: the new time counts at once (crontab(5), Vixie)."""
_MOST_AT_ONCE = 100


class RunState(StrEnum):
    """Where one run is, or how it ended; `missed` and `skipped` never started."""

    QUEUED = "queued"
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    SKIPPED = "skipped"
    MISSED = "missed"


class PeriodicState(StrEnum):
    """How a piece of scheduled work is; healthchecks.io's words."""

    NEW = "new"
    UP = "up"
    LATE = "late"
    DOWN = "down"
    PAUSED = "paused"
    RUNNING = "running"


BAD = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED, RunState.MISSED})
ENDED = frozenset(RunState) - {RunState.QUEUED, RunState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRun:
    """A run to make: the moment it is for, whether that is past, and how many earlier ones it stands for."""

    due: datetime
    is_catch_up: bool = False
    stands_for: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Runs to make, moments given up, and the moment up to which everything is decided by this."""

    runs: tuple[DueRun, ...] = ()
    missed: tuple[datetime, ...] = ()
    since: datetime


def decide(schedule: Schedule, since: datetime, now: datetime, zone: tzinfo, catch_up: CatchUp) -> Decision:
    """Decide on every moment in (since, now], each exactly once.

    One clock set back by more than three hours starts afresh; one set back by less makes no moment come twice.
    """
    if since - now > CORRECTION:
        return Decision(since=now)
    moments = missed_between(schedule, since, now, zone)
    if not moments:
        return Decision(since=since)
    last = moments[-1]
    is_prompt = now - last <= PROMPT
    late = moments[:-1] if is_prompt else moments
    prompt = (DueRun(due=last),) if is_prompt else ()
    match catch_up:
        case CatchUp.SKIP:
            return Decision(runs=prompt, missed=late, since=last)
        case CatchUp.ONCE if is_prompt:
            return Decision(runs=(DueRun(due=last, stands_for=len(late)),), since=last)
        case CatchUp.ONCE:
            return Decision(runs=(DueRun(due=last, is_catch_up=True, stands_for=len(late) - 1),), since=last)
        case CatchUp.ALL:
            runs = tuple(DueRun(due=each, is_catch_up=True) for each in late[-_MOST_AT_ONCE:])
            return Decision(runs=(*runs, *prompt), missed=late[:-_MOST_AT_ONCE], since=last)


def again_after_interruption(*, catch_up: CatchUp, attempt: int, retries: int, by_schedule: bool) -> bool:
    """Whether a run that was cut off is made again; once more than its retries, so that none goes in circles."""
    return by_schedule and catch_up is not CatchUp.SKIP and attempt <= 1 + retries


def state_of(
    *, is_paused: bool, is_running: bool, is_late: bool, last: RunState | None, last_good: bool
) -> PeriodicState:
    """Return the one word; `last` is how the newest ended run ended, `last_good` whether any ended well."""
    if is_running:
        return PeriodicState.RUNNING
    if is_paused:
        return PeriodicState.PAUSED
    if last in BAD:
        return PeriodicState.DOWN
    if is_late:
        return PeriodicState.LATE
    return PeriodicState.UP if last_good else PeriodicState.NEW
