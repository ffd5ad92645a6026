"""How much processor time supervising twelve quiet services takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import processes
from bench import supervisord as peer
from bench.agent import agent, sleepers
from bench.figures import Measure, Role, Sample
from bench.room import Room

SECONDS = 90
_SERVICES = 12


def measure(room: Room) -> Iterator[Measure]:
    """Let every subject sit side by side for the same half minute."""
    made = agent(room, sleepers(_SERVICES))
    made.apply()
    watched = {"refnet-agent, 12 keepers": (Role.OURS, made.keepers())}
    if peer.is_there():
        running = peer.supervisord(room, peer.sleepers(_SERVICES), name="supervisord", count=_SERVICES)
        watched["supervisord"] = (Role.DEFAULT, [running.pid])
    time.sleep(3)
    span = room.few(30, quick=2)
    before = {subject: _spent(pids) for subject, (_, pids) in watched.items()}
    time.sleep(span)
    samples = tuple(
        Sample(subject=subject, role=role, values=((_spent(pids) - before[subject]) / span * 100,))
        for subject, (role, pids) in watched.items()
    )
    note = f"over {span} s; no daemon exists yet, so no checks run"
    yield Measure(name="idle CPU, 12 services", unit="% of a core", samples=samples, budget=1, note=note)


def _spent(pids: list[int]) -> float:
    return sum(map(processes.cpu_seconds, pids))
