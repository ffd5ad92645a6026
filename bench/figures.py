"""What a benchmark found: values of several subjects for one question, and how they are judged."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a subject stands for in the comparison."""

    OURS = "ours"
    DEFAULT = "peer, default"
    FASTEST = "peer, fastest"
    FLOOR = "floor"
    OTHER = "other"


class Judged(StrEnum):
    """Which statistic of ours the budget is about."""

    MEDIAN = "median"
    P95 = "p95"
    WORST = "worst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Every value of one subject; the order is the order of measuring."""

    subject: str
    role: Role
    values: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """Return the nearest-rank quantile, so every figure printed is one that was seen."""
        ordered = sorted(self.values)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One question with its answers; `budget` is an upper limit, or a lower one when more is better."""

    name: str
    unit: str
    samples: tuple[Sample, ...]
    budget: float | None = None
    judged: Judged = Judged.MEDIAN
    more_is_better: bool = False
    note: str = ""

    def find(self, role: Role) -> Sample | None:
        """Return the first subject in that role."""
        return next((each for each in self.samples if each.role is role and each.values), None)

    @property
    def ours(self) -> float | None:
        """The figure of ours that the budget is about."""
        sample = self.find(Role.OURS)
        if sample is None:
            return None
        match self.judged:
            case Judged.MEDIAN:
                return sample.median
            case Judged.P95:
                return sample.quantile(0.95)
            case Judged.WORST:
                return min(sample.values) if self.more_is_better else max(sample.values)

    @property
    def is_met(self) -> bool | None:
        """Whether ours keeps the budget; None without a budget or a figure."""
        if self.budget is None or self.ours is None:
            return None
        return self.ours >= self.budget if self.more_is_better else self.ours <= self.budget
