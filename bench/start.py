"""How long the commands take that an operator types all day."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from bench import supervisord as peer
from bench.agent import Agent, agent, sleepers
from bench.figures import Measure, Role, Sample
from bench.room import Room

SECONDS = 90


def measure(room: Room) -> Iterator[Measure]:
    """Time --help, and status with one and with twelve services; the interpreter alone is the floor."""
    times = room.few(20, quick=3)
    floor = Sample(subject="python -c pass", role=Role.FLOOR, values=tuple(_python() for _ in range(times)))
    for count in (1, 12):
        made = agent(room, sleepers(count), name=f"agent-{count}")
        made.apply()
        if count == 1:
            ours = _ours(made, times, "--help")
            yield Measure(name="--help", unit="ms", samples=(ours, floor), budget=150)
        samples = [_ours(made, times, "status")]
        if peer.is_there():
            running = peer.supervisord(room, peer.sleepers(count), name=f"supervisord-{count}", count=count)
            # It exits 3 until every program has run for its startsecs.
            time.sleep(1.5)
            running.control("status")
            values = tuple(running.control("status") for _ in range(times))
            samples.append(Sample(subject="supervisorctl status", role=Role.DEFAULT, values=values))
            running.stop()
        name = f"status, {count} service{'s' if count > 1 else ''}"
        yield Measure(name=name, unit="ms", samples=(*samples, floor), budget=300)
        made.destroy()


def _ours(made: Agent, times: int, *words: str) -> Sample:
    made.time(*words)
    subject = f"refnet-agent {' '.join(words)}"
    return Sample(subject=subject, role=Role.OURS, values=tuple(made.time(*words) for _ in range(times)))


def _python() -> float:
    began = time.monotonic()
    subprocess.run((sys.executable, "-c", "pass"), timeout=30, check=True)
    return (time.monotonic() - began) * 1000
