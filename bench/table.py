"""Measures as text: every subject with its spread, then one line a question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.figures import Measure, Role, Sample


def detail(measure: Measure) -> str:
    """Return the subjects of one question with min, median, p95 and max."""
    lines: list[tuple[str, ...]] = [("subject", "n", "min", "median", "p95", "max", measure.unit)]
    for sample in measure.samples:
        if sample.values:
            spread = (min(sample.values), sample.median, sample.quantile(0.95), max(sample.values))
            words = (sample.subject, str(len(sample.values)), *map(_number, spread), f"× {_ratio(measure, sample)}")
        else:
            words = (sample.subject, "0", "-", "-", "-", "-", "-")
        lines.append(words)
    title = measure.name + (f"\n  ({measure.note})" if measure.note else "")
    return f"{title}\n{_columns(lines)}"


def summary(measures: Iterable[Measure]) -> str:
    """Return one line a question: budget, ours, spread, peers, and the fastest peer divided by ours."""
    lines: list[tuple[str, ...]] = [
        ("what", "unit", "budget", "ours", "min – max", "met", "peer default", "peer fastest", "floor", "peer ÷ ours")
    ]
    for measure in measures:
        ours = measure.find(Role.OURS)
        spread = f"{_number(min(ours.values))} – {_number(max(ours.values))}" if ours else "-"
        peers = [measure.find(role) for role in (Role.DEFAULT, Role.FASTEST, Role.FLOOR)]
        fastest = peers[1] or peers[0]
        words = (
            measure.name,
            measure.unit,
            _budget(measure),
            "-" if measure.ours is None else f"{_number(measure.ours)} {measure.judged}",
            spread,
            {True: "yes", False: "MISSED", None: ""}[measure.is_met],
            *("-" if peer is None else _number(peer.median) for peer in peers),
            "-" if fastest is None else _ratio(measure, fastest),
        )
        lines.append(words)
    return _columns(lines)


def as_object(measure: Measure) -> dict[str, Any]:
    """Return one question as JSON values."""
    return {
        "name": measure.name,
        "unit": measure.unit,
        "budget": measure.budget,
        "ours": measure.ours,
        "judged": measure.judged,
        "met": measure.is_met,
        "note": measure.note,
        "samples": [
            {"subject": each.subject, "role": each.role, "values": [round(value, 4) for value in each.values]}
            for each in measure.samples
        ],
    }


def _budget(measure: Measure) -> str:
    if measure.budget is None:
        return ""
    return f"{'≥' if measure.more_is_better else '≤'} {_number(measure.budget)}"


def _ratio(measure: Measure, sample: Sample) -> str:
    ours = measure.find(Role.OURS)
    if ours is None or not ours.median:
        return "-"
    return f"{sample.median / ours.median:.2f}"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line in lines:
        padded = (word.rjust(width) for word, width in zip(line[1:], widths[1:], strict=True))
        cells = [line[0].ljust(widths[0]), *padded]
        text.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join(text)
