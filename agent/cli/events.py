"""`events`: what happened, and why."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from agent.cli.output import print_line
from agent.cli.session import home_of
from agent.cli.terminal import colour, printable
from agent.operations.events import follow, read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("-n", "--lines", type=int, default=50, help="how many of the last events")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as things happen, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(arguments: argparse.Namespace) -> int:
    """Print the last events, with --follow also those that come."""
    path = home_of(arguments).events
    wanted = frozenset(arguments.service)
    source = follow if arguments.follow else read
    for event in source(path, services=wanted, lines=max(arguments.lines, 0)):
        if arguments.json:
            print_line(event)
        else:
            print(_sentence(event), flush=arguments.follow)
    return 0


def _sentence(event: dict[str, Any]) -> str:
    subject = event.get("instance") or event.get("service") or "-"
    words = " ".join(str(event[key]) for key in ("cause", "detail") if event.get(key))
    try:
        at = f"{datetime.fromisoformat(str(event.get('at'))).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        at = "-"
    return f"{colour(at, 'dim')}  " + printable(f"{subject:<18} {event.get('kind', '-'):<14} {words}".rstrip())
