"""Find processes of this home that no keeper looks after any more."""

from __future__ import annotations

from pathlib import Path

from agent.engine.keeper import processes
from agent.engine.process import ProcessEngine
from agent.model.instance import InstanceState

_ENDED = frozenset({InstanceState.STOPPED, InstanceState.COMPLETE, InstanceState.FAILED})


def lost_processes(engine: ProcessEngine) -> tuple[tuple[str, int], ...]:
    """Return (instance, pid) of every living process started here for an instance that is unknown or has ended."""
    cared_for = {seen.instance for seen in engine.observe() if seen.state not in _ENDED}
    found = []
    for pid in processes.all_pids():
        instance = _instance_of(pid, engine.slug)
        if instance is not None and instance not in cared_for:
            found.append((instance, pid))
    return tuple(sorted(found))


def _instance_of(pid: int, slug: str) -> str | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    start = f"{processes.TAG_VARIABLE}=".encode()
    tags = [
        entry[len(start) :].decode(errors="replace") for entry in environment.split(b"\0") if entry.startswith(start)
    ]
    instance, at, home = tags[0].rpartition("@") if tags else ("", "", "")
    return instance if at and home == slug else None
