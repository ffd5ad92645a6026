"""What verbs print: plans, progress, tables, JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from agent.model.plan import Consequence, Plan
from agent.operations.stack import Progress

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_GOOD = {"healthy", "passing", "complete", "completed", "verified", "removed"}
_BAD = {"failed", "critical", "down", "stopped"}


def colour(text: str, name: str) -> str:
    """Return the text in a colour where a terminal shows it and NO_COLOR does not forbid it."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m"


def state_colour(state: str) -> str:
    """Return the state in green, red or yellow."""
    return colour(state, "green" if state in _GOOD else "red" if state in _BAD else "yellow")


def printable(text: str) -> str:
    """Return a line of foreign output without what would drive the terminal."""
    return _CONTROL.sub("�", text) if sys.stdout.isatty() else text


def print_json(value: Any) -> None:
    """Print one documented object."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        print(colour(text, "bold") if number == 0 else text)


def print_plan(plan: Plan) -> None:
    """Print each change with its causes, the notes, and one line that sums up."""
    for change in plan.changes:
        tint = "yellow" if change.consequence in {Consequence.PENDING, Consequence.RESTART} else "cyan"
        guard = "  (protected)" if change.protected else ""
        print(f"{colour(f'{change.consequence:<8}', tint)} {change.service}{guard}")
        for cause in change.causes:
            print(f"         {cause}")
    for note in plan.notes:
        print(colour(f"note     {note}", "dim"))
    print(summary(plan))


def summary(plan: Plan) -> str:
    """Return the plan in one sentence."""
    if plan.is_empty:
        return "Nothing to do: everything is as the file says."
    counts: dict[str, int] = {}
    for change in plan.changes:
        counts[change.consequence] = counts.get(change.consequence, 0) + 1
    return "Plan: " + ", ".join(f"{count} to {name}" for name, count in counts.items()) + "."


def plan_object(plan: Plan) -> dict[str, Any]:
    """Return the plan as the JSON others build on."""
    changes = [
        {
            "service": change.service,
            "consequence": str(change.consequence),
            "causes": list(change.causes),
            "protected": change.protected,
        }
        for change in plan.changes
    ]
    return {"changes": changes, "notes": list(plan.notes), "summary": summary(plan)}


class ProgressLines:
    """Print one line a step, with the seconds since the start."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._start = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Print one step in the chosen mode."""
        seconds = time.monotonic() - self._start
        if self._mode == "quiet":
            return
        if self._mode == "json":
            step = {"service": progress.service, "state": progress.state, "detail": progress.detail}
            print(json.dumps({**step, "done": progress.done, "seconds": round(seconds, 3)}), flush=True)
            return
        state = state_colour(progress.state)
        # One write: lines of services that start side by side do not mix.
        line = f"  {seconds:6.1f}s  {progress.service:<16} {state} {progress.detail}".rstrip()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
