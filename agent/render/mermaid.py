"""The system as a Mermaid diagram: services, what they wait for, the gateway's routes, volumes, outside APIs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.model.service import Condition, Service
from agent.model.settings import Settings

GATEWAY = "gateway"


def render_diagram(settings: Settings) -> str:
    """Return the diagram; an arrow leads from who needs to what is needed, its label says until which state."""
    lines = ["flowchart LR"]
    for service in settings.services.values():
        lines.append(f"  {_id(service.name)}{_shape(service)}")
        lines += _volumes(service)
    for name in settings.externals:
        lines.append(f'  {_id("external", name)}(["{_text(name)} (outside)"])')
    for service in settings.services.values():
        lines += _needs(service, settings)
    lines += _routes(settings)
    return "\n".join(lines) + "\n"


def _shape(service: Service) -> str:
    name = _text(service.name) + (f" ×{service.replicas}" if service.replicas != 1 else "")
    if service.external:
        return f'(["{name} (outside)"])'
    return f'[["{name}"]]' if service.is_oneshot else f'["{name}"]'


def _volumes(service: Service) -> Iterator[str]:
    for volume in service.volumes:
        yield f'  {_id("volume", service.name, volume)}[("{_text(volume)}")]'
        yield f"  {_id(service.name)} --- {_id('volume', service.name, volume)}"


def _needs(service: Service, settings: Settings) -> Iterator[str]:
    for name, dependency in service.depends_on.items():
        label = "" if dependency.condition is Condition.HEALTHY else f"|{dependency.condition}|"
        yield f"  {_id(service.name)} -->{label} {_id(name)}"
    for volume in service.mounts:
        owner = next((each.name for each in settings.services.values() if volume in each.volumes), None)
        if owner is not None:
            yield f"  {_id(service.name)} -.-> {_id('volume', owner, volume)}"


def _routes(settings: Settings) -> Iterator[str]:
    if settings.gateway is None or GATEWAY not in settings.services:
        return
    for route in settings.gateway.routes:
        owner = next((each.name for each in settings.services.values() if route.files in each.volumes), None)
        target = _id(route.to) if route.to else _id("volume", owner, str(route.files)) if owner else None
        if target is not None:
            yield f'  {_id(GATEWAY)} ==>|"{_text(route.path)}"| {target}'


def _id(*words: str) -> str:
    """Return a name Mermaid takes: `end` and other words of its own would break the diagram."""
    return "n_" + "__".join(re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}", word) for word in words)


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
