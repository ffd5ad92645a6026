"""`rollback`: apply an earlier release again, through the same code as apply."""

from __future__ import annotations

import argparse
from dataclasses import replace

from agent.cli.apply import confirm, show_plan
from agent.cli.changing import add_progress_arguments, answer, show_of, speaks
from agent.cli.output import plan_object
from agent.cli.session import home_of, seconds, stack_from_release
from agent.core.reconcile import Choices
from agent.errors import UsageError
from agent.operations.apply import apply, make_plan
from agent.operations.daemon import ensure_daemon
from agent.operations.desire import redesire
from agent.operations.releases import latest, load_release, numbers
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("number", nargs="?", type=int, help="which release (default: the one before the newest)")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before removing or a protected restart")
    parser.add_argument("--allow-restart", action="append", default=[], metavar="SERVICE")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another command")
    add_progress_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply the stored release and return the exit code."""
    home = home_of(arguments)
    with hold(home.lock, message="rollback", wait=seconds(arguments.lock_wait)):
        number = arguments.number if arguments.number is not None else _previous(arguments)
        release = load_release(home, number)
        stack = stack_from_release(arguments, release=release)
        stack = replace(stack, desired=redesire(release.desired, stack.around))
        choices = Choices(allow_restart=frozenset(arguments.allow_restart))
        plan = make_plan(stack, choices)
        show_plan(arguments, plan)
        confirm(plan, yes=arguments.yes, allowed=choices.allow_restart)
        with show_of(arguments) as show:
            show.expect(change.service for change in plan.actionable)
            applied = apply(replace(stack, tell=show), choices=choices, cause=f"rollback to {number}")
        ensure_daemon(stack.home, wanted=stack.desired.settings.daemon.enabled)
    left = [change.service for change in applied.left.changes]
    answer(arguments, {"plan": plan_object(applied.plan), "left": left, "release": applied.release, "to": number})
    if applied.release is not None and speaks(arguments):
        print(f"Release {applied.release} is release {number} again.")
    return 0


def _previous(arguments: argparse.Namespace) -> int:
    home = home_of(arguments)
    newest = latest(home)
    before = [each for each in numbers(home) if newest and each < newest.number]
    if not before:
        raise UsageError("there is no earlier release", hint="refnet-agent release list")
    return before[-1]
