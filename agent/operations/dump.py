"""Copy a service's content to the backups folder, and prove that the copy can be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.model.desired import DesiredService
from agent.operations.events import record
from agent.operations.prepare import owner_of, run_beside
from agent.operations.stack import Stack
from agent.render.substitute import substitute_all
from agent.system.accounts import find_user
from agent.system.files import ensure_directory, sync_directory


def _run(stack: Stack, service: DesiredService, command: tuple[str, ...], seconds: float) -> None:
    run_beside(stack, service, command, timeout=seconds)


RunCommand = Callable[[Stack, DesiredService, tuple[str, ...], float], None]
"""Runs a command beside the service within so many seconds; raises AgentError when it fails."""


def dump(stack: Stack, name: str, *, run: RunCommand = _run) -> Path | None:
    """Take a dump of the service's content and verify it; returns where it is, None when there is no way to.

    A dump that was interrupted or failed its verification keeps the ending `.part` and is removed by the next one.
    """
    service = stack.desired.find(name)
    if service is None or service.service.dump is None:
        return None
    target = _new_target(stack, service)
    part = Path(f"{target}.part")
    values = stack.variables(service) | {"TARGET": str(part)}
    where = f"services.{name}.dump"
    seconds = service.service.dump.timeout.total_seconds()
    for command in (service.service.dump.command, service.service.dump.verify):
        run(stack, service, substitute_all(command, values, where=where), seconds)
    part.rename(target)
    sync_directory(target.parent)
    record(stack.home.events, kind="dumped", service=name, detail=str(target))
    return target


def forget_old_dumps(stack: Stack, name: str, *, keep: int) -> tuple[Path, ...]:
    """Remove all but the newest dumps of a service; returns what was removed. Only to be called after a success."""
    # Their names are their times in UTC, so they sort by age.
    dumps = sorted((stack.home.backups / name).glob("*.dump"))
    old = tuple(dumps[:-keep])
    for path in old:
        path.unlink()
    return old


def _new_target(stack: Stack, service: DesiredService) -> Path:
    folder = stack.home.backups / service.name
    ensure_directory(stack.home.backups, mode=0o711)
    ensure_directory(folder, mode=0o700, owner=owner_of(find_user(service.service.user)))
    for left in folder.glob("*.part"):
        left.unlink()
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.dump"
