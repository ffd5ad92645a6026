"""Run one-shots: once per release, never twice at a time, whoever is interrupted meanwhile."""

from __future__ import annotations

import re
import time
from pathlib import Path

from agent.core.reconcile import run_identity
from agent.errors import DeployFailed, Interrupted
from agent.model.desired import DesiredService
from agent.model.instance import InstanceState, ObservedInstance
from agent.operations.health import describe_exit, last_lines
from agent.operations.migrate import begin_migration, forget_unless_changed, pending_migrations
from agent.operations.prepare import finished
from agent.operations.quarantine import set_aside
from agent.operations.releases import latest
from agent.operations.stack import Progress, Stack
from agent.system.files import write_atomic

_POLL_SECONDS = 0.1
_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*:[0-9a-f]{64}")
_ENDED = frozenset({InstanceState.COMPLETE, InstanceState.FAILED, InstanceState.STOPPED})


def run_oneshot(stack: Stack, service: DesiredService) -> None:
    """Run it to its end, once; raise DeployFailed with its last lines. Nothing pending counts as completed.

    A run that an interrupted apply left behind is waited for, never doubled and never killed.
    """
    launch = service.launches[0]
    left = stack.seen(service.name).get(launch.instance)
    if left is not None and left.state not in _ENDED:
        stack.tell(Progress(service=service.name, state="waiting", detail="for the run an earlier apply started"))
        if _follow(stack, service, launch.instance) and left.digest == launch.digest:
            remember_completed(stack, run_identity(launch))
            return
    migrates = service.service.migrates
    pending: tuple[str, ...] = ()
    if migrates is not None:
        pending = pending_migrations(stack, service)
        if not pending:
            remember_completed(stack, run_identity(launch))
            return
        begin_migration(stack, service, migrates, pending)
    stack.tell(Progress(service=service.name, state="running"))
    stack.engine.start(finished(stack, service, launch))
    try:
        _follow(stack, service, launch.instance, failing=True)
    except DeployFailed:
        if migrates is not None:
            forget_unless_changed(stack, service, pending)
        raise
    remember_completed(stack, run_identity(launch))


def _follow(stack: Stack, service: DesiredService, instance: str, *, failing: bool = False) -> bool:
    """Wait for the run's end and forget the instance; whether it ended well, or DeployFailed when `failing`."""
    deadline = time.monotonic() + service.service.timeout.total_seconds()
    while True:
        seen = stack.seen(service.name).get(instance)
        if seen is None or seen.state in _ENDED:
            break
        if stack.interrupted.is_set():
            hint = f"{instance} goes on by itself; the next apply waits for it"
            raise Interrupted(f"interrupted while {instance} was running", hint=hint)
        if time.monotonic() > deadline:
            stack.engine.stop(instance, cause=f"no end after {service.service.timeout}")
        time.sleep(_POLL_SECONDS)
    good = seen is not None and seen.state is InstanceState.COMPLETE
    error = None if good else _failure(stack, service, instance, seen)
    stack.engine.remove(instance)
    if error is not None and failing:
        raise error
    return good


def _failure(stack: Stack, service: DesiredService, instance: str, seen: ObservedInstance | None) -> DeployFailed:
    words = (describe_exit(seen) if seen else "") or "ended unseen"
    if seen is not None and seen.state is InstanceState.STOPPED:
        words += f" (stopped: it may take {service.service.timeout}, or someone stopped it)"
    lines = "\n".join(f"    {line}" for line in last_lines(stack, instance))
    return DeployFailed(f"{service.name} failed: {words}\n  last lines:\n{lines}", hint=f"logs {service.name} -n 100")


def completed_runs(stack: Stack) -> frozenset[str]:
    """Return the identities of the one-shots that ended well; a corrupt file is rebuilt from the newest release."""
    path = _completed_path(stack)
    try:
        lines = path.read_bytes().decode("ascii").split("\n")
    except FileNotFoundError:
        return frozenset()
    except UnicodeDecodeError:
        lines = ["?"]
    known = frozenset(lines) - {""}
    if known and all(_IDENTITY.fullmatch(line) for line in known):
        return known
    if known:
        set_aside(stack.home, path, reason="not a list of runs", instead="the newest release says what has run")
    release = latest(stack.home)
    known = frozenset(release.completed if release else ()) - {""}
    if known:
        write_atomic(path, "\n".join(sorted(known)))
    return known


def remember_completed(stack: Stack, identity: str) -> None:
    """Remember that a one-shot ended well, so that no release runs it again."""
    known = completed_runs(stack) | {identity}
    write_atomic(_completed_path(stack), "\n".join(sorted(known - {""})))


def _completed_path(stack: Stack) -> Path:
    return stack.home.root / "completed"
