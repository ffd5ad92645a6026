"""Stop, start, restart and destroy what a release runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from agent.core.graph import dependency_order
from agent.core.reconcile import Choices
from agent.errors import AgentError
from agent.operations.apply import apply
from agent.operations.daemon import remove_daemon
from agent.operations.discovery import publish, take_leave
from agent.operations.dump import dump
from agent.operations.events import record
from agent.operations.health import wait_healthy
from agent.operations.held import hold, release_hold
from agent.operations.stack import Progress, Stack


def stop(stack: Stack, names: Iterable[str], *, cause: str = "stopped by hand") -> None:
    """Stop the services, dependents first, and hold them down."""
    chosen = set(names)
    hold(stack.home, chosen)
    for name in reversed(_order(stack)):
        if name in chosen:
            for instance, seen in stack.seen(name).items():
                if seen.pid is not None or seen.keeper_pid is not None:
                    stack.engine.stop(instance, cause=cause)
            record(stack.home.events, kind="stop", service=name, cause=cause)
            stack.tell(Progress(service=name, state="stopped", done=True))
    publish(stack)


def start(stack: Stack, names: Iterable[str]) -> None:
    """Let the services run again and wait until they are well."""
    chosen = frozenset(names)
    release_hold(stack.home, chosen)
    apply(stack, choices=Choices(only=chosen, allow_restart=chosen), cause="started by hand", revert=False)


def restart(stack: Stack, names: Iterable[str]) -> None:
    """Restart the services' instances one by one, each healthy before the next."""
    chosen = set(names)
    for name in _order(stack):
        service = stack.desired.find(name)
        if name not in chosen or service is None or service.service.is_oneshot:
            continue
        for launch in service.launches:
            stack.tell(Progress(service=name, state="restarting", detail=launch.instance))
            take_leave(stack, name, launch.instance)
            stack.engine.restart(launch.instance, cause="restarted by hand")
            wait_healthy(stack, service, launch)
            publish(stack)
        stack.tell(Progress(service=name, state="healthy", done=True))


def stop_started(stack: Stack, instances: frozenset[str], *, with_daemon: bool) -> None:
    """Stop these instances, dependents first, without holding them: the next apply starts them again."""
    if with_daemon:
        remove_daemon(stack.home)
    for name in reversed(_order(stack)):
        stopped = [instance for instance in stack.seen(name) if instance in instances]
        for instance in stopped:
            stack.engine.stop(instance, cause="up has ended")
        if stopped:
            record(stack.home.events, kind="stop", service=name, cause="up has ended")
            stack.tell(Progress(service=name, state="stopped", done=True))
    publish(stack)


def destroy(stack: Stack, *, with_data: bool, take_dump: bool = True) -> tuple[str, ...]:
    """Stop and forget every instance; with data, dump what can be dumped first. Returns the dumps' paths."""
    remove_daemon(stack.home)
    dumps = tuple(_last_dumps(stack)) if with_data and take_dump else ()
    for name in reversed(_order(stack)):
        for instance in stack.seen(name):
            stack.engine.remove(instance)
        stack.tell(Progress(service=name, state="removed", done=True))
    for seen in stack.engine.observe():
        stack.engine.remove(seen.instance)
    for name in ("releases", "instances", "services", "held", "completed", "migrating", "daemon"):
        _delete(stack, name)
    if with_data:
        for name in ("data", "secrets.json", "certs", "code", "environments", "git", "logs"):
            _delete(stack, name)
    record(stack.home.events, kind="destroy", cause="by hand", detail="with data" if with_data else "data kept")
    return dumps


def _last_dumps(stack: Stack) -> Iterable[str]:
    for service in stack.desired.services:
        if service.service.dump is None or not service.launches:
            continue
        try:
            path = dump(stack, service.name)
        except AgentError as error:
            hint = "start it first, or refuse the dump: destroy --data --no-dump"
            raise AgentError(f"no last dump of {service.name}: {error.message}", hint=hint) from error
        if path is not None:
            yield str(path)


def _delete(stack: Stack, name: str) -> None:
    path = stack.home.root / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _order(stack: Stack) -> tuple[str, ...]:
    return dependency_order({each.name: each.service.depends_on for each in stack.desired.services})
