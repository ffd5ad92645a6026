"""`apply`: bring the system to what the file says."""

from __future__ import annotations

import argparse
import sys
import time

from agent.cli.output import ProgressLines, plan_object, print_json, print_plan
from agent.cli.session import add_file_arguments, chosen, home_of, stack_from_file
from agent.core.reconcile import Choices
from agent.errors import UsageError
from agent.model.plan import Consequence, Plan
from agent.model.units import parse_duration
from agent.operations.apply import apply, make_plan
from agent.operations.daemon import ensure_daemon
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before removing or a protected restart")
    parser.add_argument("--allow-restart", action="append", default=[], metavar="SERVICE")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another apply")
    parser.add_argument("--progress", choices=("auto", "tty", "plain", "json", "quiet"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one object at the end")


def run(arguments: argparse.Namespace) -> int:
    """Apply and return the exit code."""
    started = time.monotonic()
    tell = ProgressLines("quiet" if arguments.json else arguments.progress)
    with hold(home_of(arguments).lock, message="apply", wait=seconds(arguments.lock_wait)):
        stack = stack_from_file(arguments, tell=tell, write=True)
        only = frozenset(chosen(stack, arguments.service)) if arguments.service else frozenset[str]()
        choices = Choices(only=only, allow_restart=frozenset(arguments.allow_restart))
        plan = make_plan(stack, choices)
        if not arguments.json and arguments.progress != "quiet":
            print_plan(plan)
        confirm(plan, yes=arguments.yes, allowed=choices.allow_restart)
        applied = apply(stack, choices=choices)
        ensure_daemon(stack.home, wanted=stack.desired.settings.daemon.enabled)
    if arguments.json:
        left = [change.service for change in applied.left.changes]
        print_json({"plan": plan_object(applied.plan), "left": left, "release": applied.release})
        return 0
    if applied.release is not None:
        print(f"Release {applied.release} in {time.monotonic() - started:.1f} s.", end=" ")
        print("Undo: refnet-agent rollback" if applied.release > 1 else "Look: refnet-agent status")
    for change in applied.left.changes:
        print(f"left: {change.service}: {change.consequence} ({'; '.join(change.causes)})")
    return 0


def seconds(text: str) -> float:
    """Return a duration from the command line in seconds; raise UsageError for another text."""
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(str(error)) from error


def confirm(plan: Plan, *, yes: bool, allowed: frozenset[str]) -> None:
    """Ask before something is removed or a protected service restarts; raise UsageError without an answer."""
    grave = [
        change
        for change in plan.actionable
        if change.consequence is Consequence.REMOVE or (change.protected and change.service in allowed)
    ]
    if yes or not grave:
        return
    names = ", ".join(f"{change.consequence} {change.service}" for change in grave)
    if not sys.stdin.isatty():
        raise UsageError(f"this needs an answer: {names}", hint="say it with -y")
    if input(f"{names}: go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was changed")
