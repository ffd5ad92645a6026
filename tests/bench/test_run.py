"""The benchmarks are a program too: one short run of it, and its judgement of figures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.figures import Judged, Measure, Role, Sample
from bench.table import summary

ROOT = Path(__file__).parent.parent.parent


def measured(*values: float, budget: float, judged: Judged = Judged.MEDIAN, more_is_better: bool = False) -> Measure:
    """One question answered by us alone."""
    ours = Sample(subject="ours", role=Role.OURS, values=values)
    return Measure(name="wait", unit="ms", samples=(ours,), budget=budget, judged=judged, more_is_better=more_is_better)


def test_a_short_run_prints_a_table_and_leaves_nothing() -> None:
    """`bench/run --only start --quick` ends with 0, names the budget, and its folder is gone."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = (str(ROOT / "bench" / "run"), "--only", "start", "--quick")
    environment = os.environ | {"PATH": path}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    said, complaint = process.communicate(timeout=100)

    assert (process.returncode, complaint) == (0, "")
    assert "≤ 150" in said
    assert "status, 12 services" in said
    assert list(Path(tempfile.gettempdir()).glob(f"refnet-bench-{process.pid}-*")) == []


def test_an_unknown_benchmark_is_refused() -> None:
    """The names that exist are said."""
    command = (str(ROOT / "bench" / "run"), "--only", "speed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert "restart" in done.stderr


@pytest.mark.parametrize(
    ("judged", "met"), [(Judged.MEDIAN, True), (Judged.WORST, False)], ids=["the middle", "the worst"]
)
def test_the_budget_is_about_the_statistic_named(judged: Judged, met: bool) -> None:
    """One slow value breaks a budget for the worst, not for the middle."""
    assert measured(1, 2, 30, budget=10, judged=judged).is_met is met


def test_a_missed_budget_is_said_plainly() -> None:
    """The table has the word and the figure."""
    line = summary([measured(30, budget=10)]).splitlines()[1]

    assert "MISSED" in line
    assert "30 median" in line


def test_more_can_be_better() -> None:
    """A throughput below its budget misses it."""
    assert measured(5, budget=10, more_is_better=True).is_met is False
