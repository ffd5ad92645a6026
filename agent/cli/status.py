"""`status`: every service and how it is; exit 0 healthy, 2 degraded, 3 down."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from agent.cli.output import colour, print_json, print_table, printable, state_colour
from agent.cli.session import stack_from_release
from agent.operations.status import status

_EXIT = {"healthy": 0, "degraded": 2, "down": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--metrics-address", action="store_true", help="only print where the daemon shows its metrics")
    parser.add_argument("--checks", action="store_true", help="also show what each failing check said")


def run(arguments: argparse.Namespace) -> int:
    """Print the status and return its exit code."""
    stack = stack_from_release(arguments)
    if arguments.metrics_address:
        settings = stack.desired.settings
        print(f"http://127.0.0.1:{settings.daemon.metrics_port + settings.port_offset}/metrics")
        return 0
    found = status(stack)
    if arguments.json:
        print_json(found)
        return _EXIT[found["verdict"]]
    print(f"{found['stack']} on {found['engine']}: {state_colour(found['verdict'])}  {_source(found)}")
    rows = [_row(service, instance) for service in found["services"] for instance in service["instances"]]
    print_table(("INSTANCE", "STATUS", "PID", "ADDRESS", "RESTARTS", "UP", "MEMORY"), rows)
    for service in found["services"]:
        for instance in service["instances"]:
            if arguments.checks or instance["status"] not in {"passing", "complete", "unavailable"}:
                words = instance.get("output", "").strip().splitlines()
                if words:
                    print(f"  {instance['name']}: {instance.get('check', '')} {printable(words[0])[:200]}")
    for external in found["externals"]:
        if arguments.checks or external["status"] == "critical":
            users = f"; needed by {', '.join(external['used_by'])}" if external["used_by"] else ""
            words = f"{external['status']}, {external['step'] or 'not yet looked at'}: {printable(external['detail'])}"
            print(f"  {external['name']} (external): {words}{users}")
    return _EXIT[found["verdict"]]


def _source(found: dict[str, Any]) -> str:
    """Say whose knowledge this is and how old it is."""
    if found["daemon"] is None:
        return colour("(no daemon: looked just now)", "dim")
    age = (datetime.now(UTC) - datetime.fromisoformat(found["as_of"])).total_seconds()
    return colour(f"(as the daemon saw it {max(age, 0):.0f} s ago)", "dim")


def _row(service: dict[str, Any], instance: dict[str, Any]) -> tuple[str, ...]:
    memory = instance.get("memory_bytes")
    return (
        instance["name"],
        instance["status"],
        str(instance.get("pid") or "-"),
        instance.get("address") or "-",
        str(instance.get("restarts", 0)),
        _age(instance.get("started_at")),
        f"{memory // 1024**2} MiB" if memory else "-",
    )


def _age(since: str | None) -> str:
    if since is None:
        return "-"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"
