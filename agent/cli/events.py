"""`events`: what happened, and why."""

from __future__ import annotations

import argparse
import json

from agent.cli.output import printable
from agent.cli.session import home_of
from agent.operations.events import read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("-n", "--lines", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(arguments: argparse.Namespace) -> int:
    """Print the last events."""
    wanted = set(arguments.service)
    events = [event for event in read(home_of(arguments).events) if not wanted or event.get("service") in wanted]
    for event in events[-arguments.lines :]:
        if arguments.json:
            print(json.dumps(event, ensure_ascii=False))
            continue
        subject = event.get("instance") or event.get("service") or "-"
        words = " ".join(str(event[key]) for key in ("cause", "detail") if event.get(key))
        print(printable(f"{str(event['at'])[:19]}  {subject:<18} {event['kind']:<14} {words}".rstrip()))
    return 0
