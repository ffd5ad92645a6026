"""What verbs print: plans, tables, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agent.cli.terminal import colour, columns, cut
from agent.model.plan import Consequence, Plan

_GAP = 2


def print_json(value: Any) -> None:
    """Print one documented object."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def print_line(value: Any) -> None:
    """Print one object on one line, at once, for verbs that go on."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, spare: Sequence[str] = ()) -> None:
    """Print aligned columns; a terminal too narrow for all loses the `spare` ones, in that order, then is cut."""
    for line in table_lines(header, rows, spare=spare):
        print(line)


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]], *, spare: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    room = columns()
    kept = list(range(len(header)))
    for name in spare:
        if room is None or sum(widths[column] + _GAP for column in kept) - _GAP <= room:
            break
        kept.remove(header.index(name))
    made = []
    for number, line in enumerate(lines):
        text = "  ".join(line[column].ljust(widths[column]) for column in kept).rstrip()
        text = cut(text, room) if room else text
        made.append(colour(text, "bold") if number == 0 else text)
    return made


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
