"""What Prometheus is told of scheduled work: last success, last start, duration, outcomes, what is due next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from agent.core.periodic import ENDED, PeriodicState, RunState
from agent.operations.periodic import overview
from agent.operations.runs import Runs
from agent.operations.stack import Stack
from agent.system.host import Family

_LABELS = ("job",)
_NEVER_RAN = frozenset({RunState.SKIPPED, RunState.MISSED})


def periodic_families(stack: Stack, runs: Runs) -> Iterator[Family]:
    """Yield the families; a piece of work that never ran has no timestamps, so that absent() can tell."""
    totals = runs.totals()
    values: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in _GAUGES}
    for each in overview(stack, runs, now=datetime.now(UTC)):
        success = runs.last(each.name, (RunState.OK,))
        started = runs.last(each.name, (frozenset(RunState) - _NEVER_RAN - {RunState.QUEUED}))
        ended = runs.last(each.name, ENDED - _NEVER_RAN)
        found = {
            "last_success_timestamp_seconds": success.ended_at.timestamp() if success and success.ended_at else None,
            "last_start_timestamp_seconds": started.started_at.timestamp() if started and started.started_at else None,
            "last_duration_seconds": ended.seconds if ended else None,
            "next_run_timestamp_seconds": each.next.timestamp() if each.next else None,
            "running": float(each.state is PeriodicState.RUNNING),
            "paused": float(each.paused_by is not None),
        }
        for name, value in found.items():
            if value is not None:
                values[name].append(((each.name,), value))
    for name, words in _GAUGES.items():
        yield Family(name=f"refnet_job_{name}", kind="gauge", help=words, labels=_LABELS, samples=tuple(values[name]))
    names = stack.desired.settings.periodic
    missed = tuple(((name,), float(totals.get((name, RunState.MISSED), 0))) for name in names)
    words = "Moments nobody was there for and that were not made up for."
    yield Family(name="refnet_job_missed_total", kind="counter", help=words, labels=_LABELS, samples=missed)
    # Every outcome from the start: a counter that appears with its first failure shows no increase.
    outcomes = tuple(
        ((name, str(outcome)), float(totals.get((name, outcome), 0)))
        for name in names
        for outcome in sorted(ENDED - {RunState.MISSED})
    )
    words = "Runs of scheduled work by how they ended."
    yield Family(name="refnet_job_runs_total", kind="counter", help=words, labels=("job", "outcome"), samples=outcomes)


_GAUGES = {
    "last_success_timestamp_seconds": "When the last run that ended well ended.",
    "last_start_timestamp_seconds": "When the last run started.",
    "last_duration_seconds": "How long the last run took.",
    "next_run_timestamp_seconds": "When it is due next; absent while it is paused.",
    "running": "Whether it runs now.",
    "paused": "Whether it is paused.",
}
