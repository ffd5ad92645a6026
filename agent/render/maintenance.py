"""What the gateway answers instead of a service in maintenance."""

from __future__ import annotations

from collections.abc import Iterable

from agent.model.maintenance import Maintenance
from agent.model.settings import Settings

_SOON_SECONDS = 300
# Inside an nginx string these would end it, begin a variable or begin an escape.
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "$": "&#36;", "\\": "&#92;"}


def render_pages(settings: Settings, maintenances: Iterable[Maintenance]) -> dict[str, str]:
    """Return the text of each include by the name of its file; only what is routed has one."""
    routes = settings.gateway.routes if settings.gateway else ()
    pages: dict[str, str] = {}
    for each in maintenances:
        for name in {route.to or route.files or "" for route in routes}:
            if each.page and each.covers(name):
                pages.setdefault(f"maintenance-{name}.conf", _include(each))
    return pages


def _include(maintenance: Maintenance) -> str:
    # A date stays true as time goes by; seconds would be counted from whenever the file was written.
    until = maintenance.until
    after = f"{until:%a, %d %b %Y %H:%M:%S} GMT" if until else str(_SOON_SECONDS)
    reason = "".join(_ESCAPES.get(letter, letter) for letter in " ".join(maintenance.reason.split()))
    page = (
        "<!doctype html><meta charset=utf-8><title>Maintenance</title>"
        f"<h1>This is being worked on</h1><p>{reason}</p><p>Please try again later.</p>"
    )
    return (
        f'add_header Retry-After "{after}" always;\nadd_header Cache-Control no-store always;\n'
        "add_header X-Request-ID $request_id_kept always;\nadd_header X-Content-Type-Options nosniff always;\n"
        f'default_type text/html;\nreturn 503 "{page}\\n";\n'
    )
