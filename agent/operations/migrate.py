"""Run one-shots; a migration is dumped for first, and only when it says that something is pending."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agent.core.reconcile import run_identity
from agent.errors import DeployFailed
from agent.model.desired import DesiredService
from agent.operations.events import record
from agent.operations.health import describe_exit, last_lines
from agent.operations.prepare import finished, owner_of, run_beside
from agent.operations.stack import Progress, Stack
from agent.render.substitute import substitute_all
from agent.system.accounts import find_user
from agent.system.files import ensure_directory, write_atomic

_PENDING_SECONDS = 60.0
_RUN_SECONDS = 900.0
_DUMP_SECONDS = 900.0


def run_oneshot(stack: Stack, service: DesiredService) -> None:
    """Run it to its end, once; raise DeployFailed with its last lines. Nothing pending counts as completed."""
    launch = service.launches[0]
    if service.service.migrates is not None:
        pending = pending_migrations(stack, service)
        if not pending:
            remember_completed(stack, run_identity(launch))
            return
        stack.tell(Progress(service=service.name, state="dumping", detail=service.service.migrates))
        dump(stack, service.service.migrates)
        record(stack.home.events, kind="migrating", service=service.name, cause="apply", detail="; ".join(pending))
    stack.tell(Progress(service=service.name, state="running"))
    ended = stack.engine.run_once(finished(stack, service, launch), timeout=_RUN_SECONDS)
    if ended.code in service.service.success_exit_codes:
        remember_completed(stack, run_identity(launch))
        return
    seen = stack.seen(service.name).get(launch.instance)
    words = describe_exit(seen) if seen else f"ended with {ended.code if ended.signal is None else ended.signal}"
    lines = "\n".join(f"    {line}" for line in last_lines(stack, launch.instance))
    raise DeployFailed(f"{service.name} failed: {words}\n  last lines:\n{lines}", hint=f"logs {service.name} -n 100")


def pending_migrations(stack: Stack, service: DesiredService) -> tuple[str, ...]:
    """Return what the migration says is pending, one sentence a line; without a `pending` command it always is."""
    if not service.service.pending:
        return ("unknown: no `pending` command",)
    said = run_beside(stack, service, service.service.pending, timeout=_PENDING_SECONDS)
    return tuple(line for line in said.output.splitlines() if line.strip())


def dump(stack: Stack, name: str) -> Path | None:
    """Take a dump of the service's content and verify it; returns where it is, None when there is no way to."""
    service = stack.desired.find(name)
    if service is None or service.service.dump is None:
        return None
    folder = stack.home.backups / name
    ensure_directory(stack.home.backups, mode=0o711)
    user = find_user(service.service.user)
    ensure_directory(folder, mode=0o700, owner=owner_of(user))
    target = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.dump"
    values = stack.variables(service) | {"TARGET": f"{target}.part"}
    where = f"services.{name}.dump"
    for command in (service.service.dump.command, service.service.dump.verify):
        run_beside(stack, service, substitute_all(command, values, where=where), timeout=_DUMP_SECONDS)
    Path(f"{target}.part").rename(target)
    record(stack.home.events, kind="dumped", service=name, detail=str(target))
    return target


def completed_runs(stack: Stack) -> frozenset[str]:
    """Return the identities of the one-shots that ended well."""
    try:
        return frozenset(_completed_path(stack).read_text().split("\n"))
    except FileNotFoundError:
        return frozenset()


def remember_completed(stack: Stack, identity: str) -> None:
    """Remember that a one-shot ended well, so that no release runs it again."""
    known = completed_runs(stack) | {identity}
    write_atomic(_completed_path(stack), "\n".join(sorted(known - {""})))


def _completed_path(stack: Stack) -> Path:
    return stack.home.root / "completed"
