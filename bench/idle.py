"""How much processor time supervising and checking twelve quiet services takes; their own is counted nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import processes
from bench import supervisord as peer
from bench.agent import agent
from bench.figures import Measure, Role, Sample
from bench.room import Room, free_offset

SECONDS = 90
_SERVICES = 12
_CHECKS = 20
_BASE = 9200
_TINY = Path(__file__).parent / "services" / "tiny_http.py"
_SETTLE = 5


def measure(room: Room) -> Iterator[Measure]:
    """Let every subject sit side by side for the same half minute."""
    made = agent(room, _stack())
    made.apply()
    keepers, daemon = made.keepers(), made.daemon()
    watched = {
        "refnet-agent, daemon and 13 keepers": (Role.OURS, [*keepers, *daemon]),
        "  of these the 12 services' keepers": (Role.OTHER, keepers),
    }
    if peer.is_there():
        running = peer.supervisord(room, peer.sleepers(_SERVICES), name="supervisord", count=_SERVICES)
        watched["supervisord, which checks nothing"] = (Role.DEFAULT, [running.pid])
    time.sleep(_SETTLE)
    span = room.few(30, quick=2)
    before = {subject: _spent(pids) for subject, (_, pids) in watched.items()}
    time.sleep(span)
    samples = tuple(
        Sample(subject=subject, role=role, values=((_spent(pids) - before[subject]) / span * 100,))
        for subject, (role, pids) in watched.items()
    )
    name = f"idle CPU, {_SERVICES} services, {_CHECKS} checks each 10 s"
    yield Measure(name=name, unit="% of a core", samples=samples, budget=1, note=f"over {span} s")


def _stack() -> str:
    services = []
    for number in range(_SERVICES):
        paths = ("/a", "/b") if number < _CHECKS - _SERVICES else ("/a",)
        checks = ", ".join(f"{{type: http, path: {path}, interval: 10s, timeout: 2s}}" for path in paths)
        command = f'[/usr/bin/python3, -I, -S, {_TINY}, "${{PORT}}"]'
        services.append(
            f"  web-{number}: {{command: {command}, ports: {{http: {_BASE + number}}}, checks: [{checks}]}}\n"
        )
    offset = free_offset(_BASE, span=_SERVICES)
    return f"name: bench\nengine: process\nport_offset: {offset}\nservices:\n{''.join(services)}"


def _spent(pids: list[int]) -> float:
    return sum(map(processes.cpu_seconds, pids))
