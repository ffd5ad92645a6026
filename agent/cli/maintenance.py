"""`maintenance on|off|list`: work on a service while nobody is woken and nothing is restarted."""

from __future__ import annotations

import argparse
import contextlib
from datetime import UTC, datetime, timedelta

from agent.cli.output import print_json
from agent.cli.session import chosen, home_of, seconds, stack_from_release
from agent.errors import UsageError
from agent.operations.daemon import ask_daemon
from agent.operations.maintenance import begin, current, describe, end
from agent.operations.maintenance_page import publish_pages
from agent.operations.stack import Stack
from agent.system.database import Database

_HOST = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("action", choices=("on", "off", "list"))
    parser.add_argument("service", nargs="*", help="these services; `off` without any ends all")
    parser.add_argument("--host", action="store_true", help="the whole host")
    parser.add_argument("--reason", help="with on: why, for everybody who asks")
    parser.add_argument("--for", dest="duration", metavar="DURATION", help="with on: it ends by itself after this")
    parser.add_argument("--page", action="store_true", help="with on: the gateway answers 503 meanwhile")
    parser.add_argument("--json", action="store_true", help="with list: print one object")


def run(arguments: argparse.Namespace) -> int:
    """Begin, end or show maintenance and return 0."""
    with contextlib.closing(Database(home_of(arguments).database)) as database:
        match arguments.action:
            case "on":
                _begin(arguments, database)
            case "off":
                _end(arguments, database)
            case _:
                _list(arguments, database)
    return 0


def _begin(arguments: argparse.Namespace, database: Database) -> None:
    stack = stack_from_release(arguments)
    if bool(arguments.service) == arguments.host:
        raise UsageError("what is worked on?", hint="name services, or --host for everything")
    if not arguments.reason or not arguments.reason.strip():
        raise UsageError("why? the reason is shown to everybody who asks", hint="--reason TEXT")
    names = (_HOST,) if arguments.host else chosen(stack, arguments.service)
    now = datetime.now(UTC)
    until = now + timedelta(seconds=seconds(arguments.duration)) if arguments.duration else None
    if arguments.page:
        _refuse_unrouted(stack, names)
    reason = arguments.reason.strip()
    begin(database, names, events=stack.home.events, reason=reason, now=now, until=until, page=arguments.page)
    _show(stack, database)
    if ask_daemon(stack.home, {"verb": "status"}) is None:
        print("There is no daemon: what has an end stays in the gateway until `maintenance off`.")


def _refuse_unrouted(stack: Stack, names: tuple[str, ...]) -> None:
    gateway = stack.desired.settings.gateway
    routed = {route.to or route.files for route in (gateway.routes if gateway else ())}
    for name in names:
        if not routed or (name != _HOST and name not in routed):
            subject = name or "anything"
            raise UsageError(f"no route of the gateway leads to {subject}: there is no place for a page")


def _end(arguments: argparse.Namespace, database: Database) -> None:
    stack = stack_from_release(arguments)
    names = [*arguments.service, *([_HOST] if arguments.host else [])]
    ended = end(database, names or None, events=stack.home.events, now=datetime.now(UTC))
    _show(stack, database)
    for name in ended:
        print(f"{name or 'the whole host'} is no longer in maintenance")
    for name in [name for name in names if name not in ended]:
        print(f"{name or 'the whole host'} was not in maintenance")


def _show(stack: Stack, database: Database) -> None:
    now = current(database, datetime.now(UTC))
    publish_pages(stack, now)
    for each in now:
        print(describe(each))


def _list(arguments: argparse.Namespace, database: Database) -> None:
    found = current(database, datetime.now(UTC))
    if arguments.json:
        rows = [
            {
                "service": each.service or None,
                "host": not each.service,
                "reason": each.reason,
                "since": each.since.isoformat(),
                "until": each.until.isoformat() if each.until else None,
                "page": each.page,
                "who": each.who,
            }
            for each in found
        ]
        print_json({"maintenance": rows})
        return
    for each in found:
        print(describe(each))
    if not found:
        print("nothing is in maintenance")
