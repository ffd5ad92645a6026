"""Tell the gateway and Prometheus which instances there are; a change is a reload, never a restart."""

from __future__ import annotations

import threading
import time

from agent.model.instance import InstanceState
from agent.operations.prepare import finished
from agent.operations.stack import Stack
from agent.render.discovery import render_targets, render_upstreams, upstream_services
from agent.system.files import ensure_directory, write_atomic

_ONE_WRITER = threading.Lock()
_DRAIN_SECONDS = 0.3
"""Long enough for nginx to have its new workers, so that nothing new is sent to who is about to stop."""


def publish(stack: Stack, *, leaving: str | None = None) -> None:
    """Write upstreams and targets from what runs, without the instance that is about to stop."""
    settings = stack.desired.settings
    routed = upstream_services(settings)
    scraped = (name for name, service in settings.services.items() if service.scrape)
    with _ONE_WRITER:
        running = tuple(
            each
            for name in sorted({*routed, *scraped})
            for each in stack.engine.observe(name)
            if each.state is InstanceState.RUNNING and each.instance != leaving and each.address
        )
        addresses: dict[str, list[str]] = {name: [] for name in routed}
        for each in running:
            if each.service in addresses and each.address:
                addresses[each.service].append(each.address)
        if write_dynamic(stack, "gateway", "upstreams.conf", render_upstreams(settings, addresses)):
            reload_service(stack, "gateway")
        write_dynamic(stack, "prometheus", "targets.json", render_targets(settings.services, running))


def take_leave(stack: Stack, service: str, instance: str) -> None:
    """Return once the gateway sends the instance nothing new; what it works on it may finish."""
    publish(stack, leaving=instance)
    if service in upstream_services(stack.desired.settings):
        time.sleep(_DRAIN_SECONDS)


def write_dynamic(stack: Stack, service: str, name: str, text: str) -> bool:
    if stack.desired.find(service) is None:
        return False
    ensure_directory(stack.home.dynamic(service), mode=0o755)
    path = stack.home.dynamic(service) / name
    if path.exists() and path.read_text() == text:
        return False
    write_atomic(path, text, mode=0o644)
    return True


def reload_service(stack: Stack, name: str) -> None:
    service = stack.desired.find(name)
    seen = stack.seen(name)
    for launch in service.launches if service else ():
        instance = seen.get(launch.instance)
        if service and instance and instance.state is InstanceState.RUNNING and instance.digest == launch.digest:
            stack.engine.update(finished(stack, service, launch), reload=True)
