"""`alerts`: the incidents people were told of, what waits to be sent, and a try of a channel."""

from __future__ import annotations

import argparse
import contextlib
import difflib
from dataclasses import asdict
from datetime import UTC, datetime

from agent.cli.output import print_json, print_table
from agent.cli.session import stack_from_release
from agent.core.notices import trial_notice
from agent.errors import DeliveryFailed, UsageError
from agent.model.notify import Channel
from agent.operations.channels import deliver
from agent.operations.notices import Queue, Queued
from agent.operations.stack import Stack
from agent.system.database import Database

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    verbs = parser.add_subparsers(dest="what", required=True)
    listing = verbs.add_parser("list", help="open incidents and the last notices")
    listing.add_argument("--json", action="store_true", help="print one object")
    trial = verbs.add_parser("test", help="send a test notice now and say what the receiver said")
    trial.add_argument("channel", nargs="?", help="its name, or its type when it has none (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """List, or send a test; exit 3 when a channel did not take it."""
    stack = stack_from_release(arguments)
    return _test(stack, arguments.channel) if arguments.what == "test" else _list(stack, as_json=arguments.json)


def _list(stack: Stack, *, as_json: bool) -> int:
    with contextlib.closing(Database(stack.home.database)) as database:
        queue = Queue(database)
        incidents = [each for each in queue.incidents().values() if each.opened is not None]
        notices = queue.newest(_SHOWN)
    if as_json:
        shown = [{"channel": each.channel, "state": _state(each), **asdict(each.notice)} for each in notices]
        print_json({"incidents": [asdict(each) for each in incidents], "notices": shown})
        return 0
    if not incidents:
        print("No open incidents.")
    for incident in sorted(incidents, key=lambda each: each.severity):
        flapping = " (flapping)" if incident.flapping else ""
        print(f"{incident.severity} {incident.subject}{flapping} since {_moment(incident.opened_at)}")
        print(f"   {incident.cause or incident.symptom}")
        if incident.affected:
            print(f"   suffering from it: {', '.join(incident.affected)}")
    if notices:
        rows = [(_moment(n.notice.at), n.channel, n.notice.kind, n.notice.title, _state(n)) for n in notices]
        print_table(("WHEN", "CHANNEL", "KIND", "NOTICE", "STATE"), rows, spare=("KIND", "CHANNEL"))
    if not stack.desired.settings.notify:
        print("Nobody is told of trouble: there is no channel under `notify:`.")
    return 0


def _state(queued: Queued) -> str:
    if queued.sent is not None:
        return "sent"
    return f"waiting, {queued.attempts} tries: {queued.error}" if queued.attempts else "waiting"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def _test(stack: Stack, name: str | None) -> int:
    settings = stack.desired.settings
    failed = False
    for channel in _chosen(settings.notify, name):
        notice = trial_notice(channel.title, stack=settings.name, at=datetime.now(UTC))
        try:
            said = deliver(channel, notice, stack.around.secrets)
        except DeliveryFailed as error:
            failed = True
            print(f"{channel.title}: not delivered: {error.message}")
            if error.hint:
                print(f"  next: {error.hint}")
        else:
            print(f"{channel.title}: delivered: {said}")
    return 3 if failed else 0


def _chosen(channels: tuple[Channel, ...], name: str | None) -> tuple[Channel, ...]:
    titles = [each.title for each in channels]
    if not channels:
        raise UsageError("there is no channel", hint="add one under `notify:` and apply")
    if name is None:
        return channels
    if name not in titles:
        near = difflib.get_close_matches(name, titles, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no channel {name}", hint=f"{hint}channels: {', '.join(titles)}")
    return tuple(each for each in channels if each.title == name)
