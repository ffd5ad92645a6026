"""`events`: what happened, and why; or all of it as an incident report."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.cli.output import print_line
from agent.cli.session import home_of, seconds
from agent.cli.terminal import colour, printable
from agent.operations.history import History, Wanted
from agent.system.database import Database

_WORDS = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="*", help="only these services, or instances such as api-2")
    parser.add_argument("-n", "--lines", type=int, help="how many of the last events (default: 50, with --since all)")
    parser.add_argument("--since", metavar="DURATION", help="only what is younger than this, such as 3h")
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help="only this kind; may be repeated")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as things happen, until Ctrl-C")
    parser.add_argument("--report", action="store_true", help="print an incident report in Markdown")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(arguments: argparse.Namespace) -> int:
    """Print the last events, with --follow also those that come."""
    home = home_of(arguments)
    since = datetime.now(UTC) - timedelta(seconds=seconds(arguments.since)) if arguments.since else None
    lines = arguments.lines if arguments.lines is not None else (None if since or arguments.report else 50)
    wanted = Wanted(
        services=arguments.service,
        kinds=arguments.kind,
        since=since,
        lines=None if lines is None else max(lines, 0),
    )
    with contextlib.closing(Database(home.database)) as database:
        history = History(home, database)
        for event in _source(history, wanted, follow=arguments.follow):
            if arguments.json:
                print_line(event)
            else:
                print(sentence(event), flush=arguments.follow)
    return 0


def _source(history: History, wanted: Wanted, *, follow: bool) -> Iterator[dict[str, Any]]:
    yield from history.follow(wanted) if follow else history.read(wanted)


def sentence(event: dict[str, Any]) -> str:
    """Return an event on one line: of more lines only the first; of a keeper's details those that are set."""
    subject = event["instance"] or event["service"] or "-"
    words = " ".join(filter(None, (_first_line(str(event["cause"])), _detail(event["detail"]))))
    by = f" (by {event['who']})" if event.get("who") not in {None, "keeper", "daemon"} else ""
    try:
        at = f"{datetime.fromisoformat(str(event['at'])).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        at = "-"
    return f"{colour(at, 'dim')}  " + printable(f"{subject:<18} {event['kind']:<14} {words}{by}".rstrip())


def _detail(detail: object) -> str:
    if not isinstance(detail, dict):
        return _first_line(str(detail))
    kept = {name: value for name, value in detail.items() if value not in (None, False, "") and name != "at"}
    return _first_line(" ".join(f"{name}={value}" for name, value in kept.items()))


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return "" if not lines else lines[0][:_WORDS] + (" …" if len(lines) > 1 else "")
