"""Files derived from what runs: the gateway's upstreams and Prometheus' targets; outside every digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from agent.model.instance import ObservedInstance
from agent.model.service import Service
from agent.model.settings import Settings


def upstream_services(settings: Settings) -> tuple[str, ...]:
    """Return the services the gateway leads to, by name."""
    routed = {route.to for route in (settings.gateway.routes if settings.gateway else ()) if route.to}
    return tuple(sorted(routed | {name for name, service in settings.services.items() if service.upstream}))


def render_upstreams(settings: Settings, addresses: Mapping[str, Iterable[str]]) -> str:
    """Return nginx upstream blocks; a service without an address keeps a server that refuses, so nginx starts.

    max_fails=0: a refusal on loopback costs nothing and the next server is tried at once, whereas an instance
    that is back in milliseconds but still counted as failed leaves nobody when the other one falls.
    """
    blocks = []
    for name in upstream_services(settings):
        servers = tuple(addresses.get(name, ())) or ("127.0.0.1:1",)
        lines = "".join(f"    server {address} max_fails=0;\n" for address in servers)
        blocks.append(f"upstream {name} {{\n{lines}    keepalive 16;\n}}\n")
    return "\n".join(blocks)


def render_targets(services: Mapping[str, Service], observed: Iterable[ObservedInstance]) -> str:
    """Return Prometheus file_sd groups, one an instance."""
    groups = [
        {
            "targets": [each.address],
            "labels": {
                "job": each.service,
                "instance_name": each.instance,
                "__metrics_path__": services[each.service].scrape,
            },
        }
        for each in sorted(observed, key=lambda each: each.instance)
        if each.address and each.service in services and services[each.service].scrape
    ]
    return json.dumps(groups, indent=1)
