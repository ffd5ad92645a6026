"""Carry out one service's change, instance by instance."""

from __future__ import annotations

from agent.core.reconcile import compare
from agent.errors import DeployFailed
from agent.model.desired import DesiredService
from agent.model.instance import Launch, ObservedInstance
from agent.model.plan import Change, Consequence
from agent.operations.discovery import publish, take_leave
from agent.operations.health import wait_healthy
from agent.operations.oneshots import run_oneshot
from agent.operations.prepare import activate, finished, run_preparations, run_provisions
from agent.operations.stack import Progress, Stack


def carry_out(stack: Stack, change: Change) -> None:
    """Make the change true and wait until its instances are well; raise DeployFailed with the evidence."""
    if change.consequence is Consequence.REMOVE:
        for instance in stack.seen(change.service):
            stack.engine.remove(instance)
        stack.tell(Progress(service=change.service, state="removed", done=True))
        return
    service = stack.desired.find(change.service)
    if service is None:
        return
    activate(stack, service)
    run_preparations(stack, service)
    if service.service.is_oneshot:
        run_oneshot(stack, service)
        stack.tell(Progress(service=service.name, state="completed", done=True))
        return
    if change.consequence is Consequence.REPLACE and service.surge is not None:
        _roll(stack, service, service.surge)
    else:
        for launch in service.launches:
            _bring(stack, service, launch)
    _retire_extra(stack, service)
    run_provisions(stack, service)
    publish(stack)
    stack.tell(Progress(service=service.name, state="healthy" if service.launches else "stopped", done=True))


def _bring(stack: Stack, service: DesiredService, launch: Launch) -> None:
    """Make one instance equal its launch, in place where its difference allows."""
    seen = stack.seen(service.name).get(launch.instance)
    difference = compare(launch, seen, service)
    match difference.consequence:
        case Consequence.NOOP:
            return
        case Consequence.RELOAD | Consequence.UPDATE:
            stack.tell(Progress(service=service.name, state=f"{difference.consequence}ing"))
            stack.engine.update(finished(stack, service, launch), reload=difference.consequence is Consequence.RELOAD)
        case _:
            _start(stack, service, launch, seen)
    wait_healthy(stack, service, launch)


def _start(stack: Stack, service: DesiredService, launch: Launch, seen: ObservedInstance | None) -> None:
    stack.tell(Progress(service=service.name, state="starting", detail=launch.instance))
    if seen is not None and seen.digest != launch.digest:
        stack.engine.stop(launch.instance, cause="replaced by a new release")
    stack.engine.start(finished(stack, service, launch))


def _roll(stack: Stack, service: DesiredService, surge: Launch) -> None:
    """Replace instances one by one behind the gateway; a spare keeps the number of healthy ones up."""
    stale = [launch for launch in service.launches if not _is_current(stack, service, launch)]
    try:
        _start(stack, service, surge, stack.seen(service.name).get(surge.instance))
        wait_healthy(stack, service, surge)
    except DeployFailed:
        stack.engine.remove(surge.instance)
        raise
    for launch in stale:
        take_leave(stack, service.name, launch.instance)
        _start(stack, service, launch, stack.seen(service.name).get(launch.instance))
        wait_healthy(stack, service, launch)
        publish(stack)


def _is_current(stack: Stack, service: DesiredService, launch: Launch) -> bool:
    seen = stack.seen(service.name).get(launch.instance)
    return compare(launch, seen, service).consequence is Consequence.NOOP


def _retire_extra(stack: Stack, service: DesiredService) -> None:
    wanted = {launch.instance for launch in service.launches}
    for instance in sorted(stack.seen(service.name).keys() - wanted):
        take_leave(stack, service.name, instance)
        stack.engine.remove(instance)
