"""`periodic`: scheduled work: what there is, when it is due, how it went, and running it now."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.cli.output import print_json, print_table
from agent.cli.session import stack_from_release
from agent.cli.terminal import printable
from agent.core.periodic import RunState
from agent.operations.periodic import actor, carry_out, overview, periodic_of, run_now, upcoming, zone_of
from agent.operations.runs import Run, Runs
from agent.system.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.operations.stack import Stack

_LEAVING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TIMED_OUT = 124
_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|next|run|pause|resume|history")
    listing = verbs.add_parser("list", help="each piece of work, its state, its last run and when it is due next")
    coming = verbs.add_parser("next", help="when it is due")
    coming.add_argument("name", nargs="?")
    coming.add_argument("--count", type=int, default=5)
    running = verbs.add_parser("run", help="run it now, show its output, and end with its exit code")
    running.add_argument("name")
    running.add_argument("--queued", type=int, help=argparse.SUPPRESS)
    verbs.add_parser("pause", help="let it not be due until resumed").add_argument("name")
    verbs.add_parser("resume", help="let it be due again; nothing is caught up").add_argument("name")
    history = verbs.add_parser("history", help="its last runs, newest first")
    history.add_argument("name", nargs="?")
    history.add_argument("-n", "--lines", type=int, default=20)
    history.add_argument("--output", action="store_true", help="also show the last output of each")
    for each in (listing, coming, history):
        each.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Do what the sub-verb says."""
    stack = stack_from_release(arguments)
    if getattr(arguments, "name", None):
        periodic_of(stack, arguments.name)
    runs = Runs(stack.home, Database(stack.home.database))
    verbs: dict[str, Callable[[argparse.Namespace, Stack, Runs], int]] = {
        "list": _list,
        "next": _next,
        "run": _run,
        "pause": _pause,
        "resume": _resume,
        "history": _history,
    }
    return verbs[arguments.verb](arguments, stack, runs)


def _list(arguments: argparse.Namespace, stack: Stack, runs: Runs) -> int:
    found = overview(stack, runs, now=datetime.now(UTC))
    zone = zone_of(stack.desired.settings)
    if arguments.json:
        objects = [
            {
                "name": each.name,
                "state": each.state,
                "task": each.periodic.task,
                "schedule": each.periodic.schedule,
                "next": each.next.isoformat() if each.next else None,
                "late_since": each.late_since.isoformat() if each.late_since else None,
                "paused_by": each.paused_by,
                "last": run_object(each.last) if each.last else None,
            }
            for each in found
        ]
        print_json({"timezone": str(zone), "periodic": objects})
        return 0
    rows = [
        (
            each.name,
            each.state,
            each.periodic.schedule,
            f"{each.next:%Y-%m-%d %H:%M %Z}" if each.next else f"- ({each.paused_by})",
            _words(each.last) if each.last else "-",
        )
        for each in found
    ]
    print_table(("NAME", "STATE", "SCHEDULE", "NEXT", "LAST"), rows)
    return 0


def _next(arguments: argparse.Namespace, stack: Stack, _: Runs) -> int:
    names = [arguments.name] if arguments.name else sorted(stack.desired.settings.periodic)
    now = datetime.now(UTC)
    found = [(at, name) for name in names for at in upcoming(stack, name, now=now, count=arguments.count)]
    found = sorted(found)[: arguments.count]
    if arguments.json:
        print_json({"next": [{"at": at.isoformat(), "name": name} for at, name in found]})
        return 0
    for at, name in found:
        print(f"{at:%a %Y-%m-%d %H:%M:%S %Z}  {name}")
    return 0


def _run(arguments: argparse.Namespace, stack: Stack, runs: Runs) -> int:
    stopped = threading.Event()
    for number in _LEAVING:
        signal.signal(number, lambda *_: stopped.set())

    def show(chunk: bytes) -> None:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    if arguments.queued is not None:
        ended = carry_out(stack, runs, arguments.queued, show=lambda chunk: None, stopped=stopped)
    else:
        ended = run_now(stack, runs, arguments.name, show=show, stopped=stopped)
        print(f"{ended.name}: {_words(ended)} (run {ended.id})", file=sys.stderr)
    match ended.state:
        case RunState.OK:
            return 0
        case RunState.TIMED_OUT:
            return _TIMED_OUT
        case RunState.CANCELLED | RunState.REPLACED:
            return _INTERRUPTED
        case _:
            code = ended.code or 1
            return code if code > 0 else 128 - code


def _pause(arguments: argparse.Namespace, stack: Stack, runs: Runs) -> int:
    now = datetime.now(UTC)
    runs.follow({name: each.schedule for name, each in stack.desired.settings.periodic.items()}, now)
    changed = runs.pause(arguments.name, actor=actor(), now=now)
    print(f"{arguments.name} is paused" if changed else f"{arguments.name} was paused already")
    return 0


def _resume(arguments: argparse.Namespace, stack: Stack, runs: Runs) -> int:
    changed = runs.resume(arguments.name, now=datetime.now(UTC))
    at = upcoming(stack, arguments.name, now=datetime.now(UTC), count=1)[0]
    print(f"{arguments.name} {'is due again' if changed else 'was not paused; it is due'} at {at:%Y-%m-%d %H:%M:%S %Z}")
    return 0


def _history(arguments: argparse.Namespace, stack: Stack, runs: Runs) -> int:
    found = runs.history(arguments.name, limit=arguments.lines)
    if arguments.json:
        print_json({"runs": [run_object(each) for each in found]})
        return 0
    zone = zone_of(stack.desired.settings)
    rows = [
        (
            str(each.id),
            each.name,
            f"{(each.started_at or each.queued_at).astimezone(zone):%Y-%m-%d %H:%M:%S}",
            f"{each.state}{' (catch-up)' if each.is_catch_up else ''}",
            "-" if each.seconds is None else f"{each.seconds:.1f} s",
            "-" if each.code is None else str(each.code),
            each.actor,
            each.detail.splitlines()[0] if each.detail else "",
        )
        for each in found
    ]
    if not arguments.output:
        print_table(("RUN", "NAME", "STARTED", "STATE", "TOOK", "EXIT", "BY", ""), rows)
        return 0
    for each, row in zip(found, rows, strict=True):
        print("  ".join(row).rstrip())
        for line in each.output.splitlines():
            print(f"    {printable(line)}")
    return 0


def run_object(run: Run) -> dict[str, Any]:
    """Return a run as JSON others build on."""
    times = {"due": run.due, "queued_at": run.queued_at, "started_at": run.started_at, "ended_at": run.ended_at}
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "actor": run.actor,
        "catch_up": run.is_catch_up,
        "attempt": run.attempt,
        **{name: at.isoformat() if at else None for name, at in times.items()},
        "seconds": run.seconds,
        "exit_code": run.code,
        "detail": run.detail,
        "output": run.output,
    }


def _words(run: Run) -> str:
    at = f"{run.ended_at:%Y-%m-%d %H:%M UTC}" if run.ended_at else "-"
    took = f" in {run.seconds:.1f} s" if run.seconds is not None else ""
    why = f": {run.detail.splitlines()[0]}" if run.detail else ""
    return f"{run.state} at {at}{took}{why}"
