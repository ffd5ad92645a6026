"""`status`: every service and how it is; exit 0 healthy, 2 degraded, 3 down."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from agent.cli.output import print_json, print_line, table_lines
from agent.cli.session import home_of, seconds, stack_from_release
from agent.cli.terminal import colour, columns, cut, printable, state_colour
from agent.cli.watch import watch
from agent.operations.engines import open_engine
from agent.operations.releases import latest
from agent.operations.status import status
from agent.operations.unreleased import unreleased_status

_EXIT = {"healthy": 0, "degraded": 2, "down": 3}
_HEADER = ("INSTANCE", "STATUS", "PID", "ADDRESS", "RESTARTS", "UP", "MEMORY")
_SPARE = ("ADDRESS", "MEMORY", "PID", "RESTARTS")
_WELL = {"passing", "complete", "unavailable"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--json", action="store_true", help="print one object; with --watch one a line")
    parser.add_argument("--metrics-address", action="store_true", help="only print where the daemon shows its metrics")
    parser.add_argument("--checks", action="store_true", help="also show every check and what it says")
    parser.add_argument("--watch", action="store_true", help="look again and again, until Ctrl-C")
    parser.add_argument("--every", default="2s", metavar="DURATION", help="with --watch: how often (default: 2s)")


def run(arguments: argparse.Namespace) -> int:
    """Print the status and return its exit code."""
    if arguments.metrics_address:
        settings = stack_from_release(arguments).desired.settings
        print(f"http://127.0.0.1:{settings.daemon.metrics_port + settings.port_offset}/metrics")
        return 0
    if arguments.watch and arguments.json:
        watch(lambda: print_line(_look(arguments)), every=seconds(arguments.every))
    if arguments.watch:
        watch(lambda: _lines(_look(arguments), checks=arguments.checks), every=seconds(arguments.every))
    found = _look(arguments)
    if arguments.json:
        print_json(found)
    else:
        for line in _lines(found, checks=arguments.checks):
            print(line)
    return _EXIT[found["verdict"]]


def _look(arguments: argparse.Namespace) -> dict[str, Any]:
    home = home_of(arguments)
    release = latest(home)
    if release is None and (found := unreleased_status(home, open_engine(home))) is not None:
        return found
    return status(stack_from_release(arguments, release=release), details=arguments.checks)


def _lines(found: dict[str, Any], *, checks: bool) -> list[str]:
    lines = [f"{found['stack']} on {found['engine']}: {state_colour(found['verdict'])}  {_source(found)}"]
    if found.get("engine_reason"):
        lines.append(colour(f"engine {found['engine']}: {found['engine_reason']}", "dim"))
    lines += [colour(f"note: {note}", "yellow") for note in found["notes"]]
    rows = [row for service in found["services"] for row in _rows(service)]
    lines += table_lines(_HEADER, rows, spare=_SPARE)
    for service in found["services"]:
        for instance in service["instances"]:
            lines += _check_lines(instance) if checks and instance.get("checks") else _trouble(instance)
    for external in found["externals"]:
        if checks or external["status"] == "critical":
            users = f"; needed by {', '.join(external['used_by'])}" if external["used_by"] else ""
            words = f"{external['status']}, {external['step'] or 'not yet looked at'}: {printable(external['detail'])}"
            lines.append(f"  {external['name']} (external): {words}{users}")
    width = columns()
    return [cut(line, width) for line in lines] if width else lines


def _check_lines(instance: dict[str, Any]) -> Iterator[str]:
    for check in instance["checks"]:
        words = check["output"].strip().splitlines()
        said = f": {printable(words[0])[:200]}" if words else ""
        yield f"  {instance['name']}: {check['name']} {state_colour(check['status'])}{said}"


def _trouble(instance: dict[str, Any]) -> Iterator[str]:
    words = instance.get("output", "").strip().splitlines()
    if words and instance["status"] not in _WELL:
        named = f"{instance['check']} " if instance.get("check") else ""
        yield f"  {instance['name']}: {named}{printable(words[0])[:200]}"


def _source(found: dict[str, Any]) -> str:
    """Say whose knowledge this is and how old it is."""
    if found["daemon"] is None:
        return colour("(no daemon: looked just now)", "dim")
    age = (datetime.now(UTC) - datetime.fromisoformat(found["as_of"])).total_seconds()
    return colour(f"(as the daemon saw it {max(age, 0):.0f} s ago)", "dim")


def _rows(service: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for instance in service["instances"]:
        memory = instance.get("memory_bytes")
        yield (
            instance["name"],
            instance["status"],
            str(instance.get("pid") or "-"),
            instance.get("address") or "-",
            str(instance.get("restarts", 0)),
            _age(instance.get("started_at")),
            f"{memory // 1024**2} MiB" if memory else "-",
        )
    if not service["instances"] and service["desired"]:
        yield (service["name"], "missing", "-", "-", "-", "-", "-")


def _age(since: str | None) -> str:
    if since is None:
        return "-"
    elapsed = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if elapsed >= size:
            return f"{elapsed // size}{unit}"
    return f"{max(elapsed, 0)}s"
