"""How long the whole example system takes from nothing, packages and Python environments being there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from bench.agent import ROOT, Agent
from bench.figures import Measure, Role, Sample
from bench.room import Room, free_offset

SECONDS = 180
_BASES = (8443, 8080, 8000, 5432, 6379, 9090, 9093)


def measure(room: Room) -> Iterator[Measure]:
    """Apply once to build the environments, forget everything else, and apply again."""
    shutil.copytree(ROOT / "examples" / "refnet", room.folder / "refnet")
    made = Agent(home=room.folder / "home", file=room.folder / "refnet" / "refnet.yaml")
    room.leaving.callback(made.destroy)
    text = made.file.read_text()
    made.file.write_text(f"port_offset: {free_offset(*_BASES, span=3)}\n{text}")
    building = made.apply()
    made.destroy()
    for path in made.home.iterdir():
        if path.name != "environments":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    cold = made.apply()
    times = room.few(5, quick=1)
    again = tuple(made.time("apply", "-y", "-f", str(made.file)) for _ in range(times))
    plans = tuple(made.time("plan", "-f", str(made.file)) for _ in range(times))
    status = tuple(made.time("status") for _ in range(times))
    note = "packages installed; 13 services, a migration and the end-to-end check"
    yield _ours("demo, environments to be built", "s", (building,), None, note)
    yield _ours("demo, environments there", "s", (cold,), 30, note)
    yield _ours("demo, second apply", "ms", again, 800, "nothing to do")
    yield _ours("demo, plan", "ms", plans, 700, "nothing to do")
    yield _ours("demo, status", "ms", status, 300, "every check is probed")


def _ours(name: str, unit: str, values: tuple[float, ...], budget: float | None, note: str) -> Measure:
    sample = Sample(subject="refnet-agent", role=Role.OURS, values=values)
    return Measure(name=name, unit=unit, samples=(sample,), budget=budget, note=note)
