"""What the kernel says about a process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """MiB of one process, or of several together."""

    resident: float
    proportional: float
    private: float


def memory(pid: int) -> Memory:
    """Return what the process itself holds; its children are not counted."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        found[name] = int(size) / 1024
    private = found["Private_Clean:"] + found["Private_Dirty:"]
    return Memory(resident=found["Rss:"], proportional=found["Pss:"], private=private)


def cpu_seconds(pid: int) -> float:
    """Return the processor time the process used so far; in ticks where the kernel has no better."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:
        fields = _stat(pid)
        return (int(fields[11]) + int(fields[12])) * _TICK


def parent(pid: int) -> int:
    """Return who started it: for an instance, its keeper."""
    return int(_stat(pid)[1])


def children(pid: int) -> list[int]:
    """Return the direct children."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _stat(pid: int) -> list[str]:
    # The name in parentheses may hold spaces: what follows the last one is regular.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
