"""What supervising twelve services costs in memory; the services' own memory is counted nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from bench import processes
from bench import supervisord as peer
from bench.agent import agent, sleepers
from bench.figures import Judged, Measure, Role, Sample
from bench.room import Room

SECONDS = 60
_SERVICES = 12


def measure(room: Room) -> Iterator[Measure]:
    """Start the same twelve sleeping services under each subject and read the supervisors' smaps."""
    made = agent(room, sleepers(_SERVICES))
    made.apply()
    keepers = [processes.memory(pid) for pid in made.keepers()]
    daemon, its_keeper = map(processes.memory, made.daemon())
    ours = [*keepers, daemon, its_keeper]
    others: list[processes.Memory] = []
    if peer.is_there():
        running = peer.supervisord(room, peer.sleepers(_SERVICES), name="supervisord", count=_SERVICES)
        others = [processes.memory(running.pid)]
    proportional = [[each.proportional for each in some] for some in (ours, keepers, others)]
    yield _sum("memory, 12 services, PSS", *proportional, budget=130)
    resident = [[each.resident for each in some] for some in (ours, keepers, others)]
    yield _sum("memory, 12 services, RSS", *resident, budget=None)
    yield _each("keeper, RSS", [each.resident for each in keepers], 13)
    yield _each("keeper, private", [each.private for each in keepers], 6)


def _sum(name: str, ours: list[float], keepers: list[float], theirs: list[float], *, budget: float | None) -> Measure:
    samples = [
        Sample(subject="refnet-agent, daemon and 13 keepers", role=Role.OURS, values=(sum(ours),)),
        Sample(subject="  of these the 12 services' keepers", role=Role.OTHER, values=(sum(keepers),)),
    ]
    if theirs:
        samples.append(Sample(subject="supervisord", role=Role.DEFAULT, values=tuple(theirs)))
    samples.append(Sample(subject="bare processes, nobody looks", role=Role.FLOOR, values=(0.0,)))
    return Measure(name=name, unit="MiB", samples=tuple(samples), budget=budget)


def _each(name: str, values: list[float], budget: float) -> Measure:
    sample = Sample(subject="refnet-agent, one keeper", role=Role.OURS, values=tuple(values))
    return Measure(name=name, unit="MiB", samples=(sample,), budget=budget, judged=Judged.WORST)
