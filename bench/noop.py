"""How long it takes to find out that there is nothing to do, and how that grows with the number of services."""

from __future__ import annotations

from collections.abc import Iterator

from bench import nomad
from bench import supervisord as peer
from bench.agent import Agent, agent, sleepers
from bench.figures import Measure, Role, Sample
from bench.room import Room

SECONDS = 240
_BUDGETS = {12: (700, 800), 100: (3000, 3000), 500: (3000, 3000)}


def measure(room: Room) -> Iterator[Measure]:
    """Really start 12, 100 and 500 services, then plan and apply the same file again."""
    times = room.few(10, quick=2)
    for count in (12,) if room.quick else (12, 100, 500):
        made = agent(room, sleepers(count), name=f"agent-{count}")
        seconds = made.apply()
        plans, applies = _peers(room, count, times) if count == 12 else ((), ())
        budgets = _BUDGETS[count]
        first = Sample(subject="refnet-agent apply", role=Role.OURS, values=(seconds,))
        yield Measure(name=f"first apply, {count} services", unit="s", samples=(first,))
        ours = _ours(made, times if count < 500 else 4, "plan", "-f", str(made.file))
        yield Measure(name=f"plan, {count} services", unit="ms", samples=(ours, *plans), budget=budgets[0])
        ours = _ours(made, times if count < 500 else 4, "apply", "-y", "-f", str(made.file))
        yield Measure(name=f"no-op apply, {count} services", unit="ms", samples=(ours, *applies), budget=budgets[1])
        made.destroy()


def _ours(made: Agent, times: int, *words: str) -> Sample:
    made.time(*words)
    values = tuple(made.time(*words) for _ in range(times))
    return Sample(subject=f"refnet-agent {words[0]}", role=Role.OURS, values=values)


def _peers(room: Room, count: int, times: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    plans: list[Sample] = []
    applies: list[Sample] = []
    if peer.is_there():
        running = peer.supervisord(room, peer.sleepers(count), name="supervisord", count=count)
        values = tuple(running.control("update") for _ in range(times))
        applies.append(Sample(subject="supervisorctl update", role=Role.DEFAULT, values=values))
        running.stop()
    if nomad.is_there():
        cluster = nomad.nomad(room)
        job = str(nomad.sleepers(room.folder, count))
        cluster.run("job", "run", job)
        values = tuple(cluster.time("job", "plan", job) for _ in range(times))
        plans.append(Sample(subject=f"nomad job plan, {count} groups", role=Role.DEFAULT, values=values))
        values = tuple(cluster.time("job", "run", job) for _ in range(times))
        applies.append(Sample(subject=f"nomad job run, {count} groups", role=Role.OTHER, values=values))
        cluster.stop()
    return tuple(plans), tuple(applies)
