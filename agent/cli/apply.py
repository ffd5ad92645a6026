"""`apply`: bring the system to what the file says."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from agent.cli.changing import add_progress_arguments, answer, ask, show_of, speaks
from agent.cli.output import plan_object, print_line, print_plan
from agent.cli.session import add_file_arguments, chosen, home_of, read_file, seconds, stack_from_file
from agent.core.reconcile import Choices
from agent.model.plan import Consequence, Plan
from agent.operations.apply import Applied, apply, make_plan
from agent.operations.daemon import ensure_daemon
from agent.operations.stack import Stack
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before removing or a protected restart")
    parser.add_argument("--allow-restart", action="append", default=[], metavar="SERVICE")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another apply")
    add_progress_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply and return the exit code."""
    started = time.monotonic()
    configuration = read_file(arguments)
    with hold(home_of(arguments).lock, message="apply", wait=seconds(arguments.lock_wait)):
        applied = apply_file(arguments, stack_from_file(arguments, write=True, configuration=configuration))
    left = [change.service for change in applied.left.changes]
    answer(arguments, {"plan": plan_object(applied.plan), "left": left, "release": applied.release})
    if not speaks(arguments):
        return 0
    if applied.release is not None:
        next_step = "Undo: refnet-agent rollback" if applied.release > 1 else "Look: refnet-agent status"
        print(f"Release {applied.release} in {time.monotonic() - started:.1f} s. {next_step}")
    for change in applied.left.changes:
        print(f"left: {change.service}: {change.consequence} ({'; '.join(change.causes)})")
    return 0


def apply_file(arguments: argparse.Namespace, stack: Stack) -> Applied:
    """Plan, print, ask and apply the stack, then see to its daemon; the caller holds the lock."""
    only = frozenset(chosen(stack, arguments.service)) if arguments.service else frozenset[str]()
    choices = Choices(only=only, allow_restart=frozenset(chosen(stack, arguments.allow_restart, every=False)))
    plan = make_plan(stack, choices)
    show_plan(arguments, plan)
    confirm(plan, yes=arguments.yes, allowed=choices.allow_restart)
    with show_of(arguments) as show:
        show.expect(change.service for change in plan.actionable)
        applied = apply(replace(stack, tell=show), choices=choices)
    ensure_daemon(stack.home, wanted=stack.desired.settings.daemon.enabled)
    return applied


def show_plan(arguments: argparse.Namespace, plan: Plan) -> None:
    """Print what is about to happen: in words, or as the first JSON line."""
    if speaks(arguments):
        print_plan(plan)
    elif not arguments.json and arguments.progress == "json":
        print_line({"plan": plan_object(plan)})


def confirm(plan: Plan, *, yes: bool, allowed: frozenset[str]) -> None:
    """Ask before something is removed or a protected service restarts; raise UsageError without an answer."""
    grave = [
        change
        for change in plan.actionable
        if change.consequence is Consequence.REMOVE or (change.protected and change.service in allowed)
    ]
    if grave and not yes:
        ask(", ".join(f"{change.consequence} {change.service}" for change in grave))
