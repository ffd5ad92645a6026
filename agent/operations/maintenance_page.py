"""Put the gateway's 503 pages there and take them away; a change is a reload, never a restart."""

from __future__ import annotations

from collections.abc import Iterable

from agent.model.maintenance import Maintenance
from agent.operations.discovery import reload_service, write_dynamic
from agent.operations.stack import Stack
from agent.render.maintenance import render_pages

_GATEWAY = "gateway"


def publish_pages(stack: Stack, maintenances: Iterable[Maintenance]) -> None:
    """Make the gateway answer 503 for exactly these; costs one look at a folder where nothing changed."""
    pages = render_pages(stack.desired.settings, maintenances)
    changed = [name for name, text in pages.items() if write_dynamic(stack, _GATEWAY, name, text)]
    for path in stack.home.dynamic(_GATEWAY).glob("maintenance-*.conf"):
        if path.name not in pages:
            path.unlink(missing_ok=True)
            changed.append(path.name)
    if changed:
        reload_service(stack, _GATEWAY)
