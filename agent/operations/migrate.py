"""What is special about a migration: it says what is pending, a dump comes first, and it cannot be undone.

From the moment a migration may have changed anything until a release is stored, `<home>/migrating` says so: an
apply that fails meanwhile must not put old code on a new schema by itself, whoever was killed in between.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from agent.errors import AgentError
from agent.model.desired import DesiredService
from agent.operations.dump import dump
from agent.operations.events import record
from agent.operations.prepare import run_beside
from agent.operations.stack import Progress, Stack
from agent.system.files import write_atomic

_PENDING_SECONDS = 60.0


def pending_migrations(stack: Stack, service: DesiredService) -> tuple[str, ...]:
    """Return what the migration says is pending, one sentence a line; without a `pending` command it always is."""
    if not service.service.pending:
        return ("unknown: no `pending` command",)
    said = run_beside(stack, service, service.service.pending, timeout=_PENDING_SECONDS)
    return tuple(line for line in said.output.splitlines() if line.strip())


def begin_migration(stack: Stack, service: DesiredService, migrates: str, pending: tuple[str, ...]) -> None:
    """Take a verified dump of the service it migrates, then write down that the schema may change from here on."""
    stack.tell(Progress(service=service.name, state="dumping", detail=migrates))
    dump(stack, migrates)
    begun = {"service": service.name, "at": datetime.now(UTC).isoformat(), "pending": pending}
    write_atomic(stack.home.migrating, json.dumps(begun))
    record(stack.home.events, kind="migrating", service=service.name, cause="apply", detail="; ".join(pending))


def forget_unless_changed(stack: Stack, service: DesiredService, before: tuple[str, ...]) -> None:
    """After a failed migration: when the same is pending as before it, nothing has changed and going back is safe."""
    if not service.service.pending:
        return
    try:
        unchanged = pending_migrations(stack, service) == before
    except AgentError:
        return
    if unchanged:
        forget_migration(stack)


def has_migrated(stack: Stack) -> bool:
    """Whether a migration may have changed something since the last release was stored."""
    return stack.home.migrating.exists()


def forget_migration(stack: Stack) -> None:
    """Forget the migration: a release with its schema is stored, or it changed nothing."""
    stack.home.migrating.unlink(missing_ok=True)
