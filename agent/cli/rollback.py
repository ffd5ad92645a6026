"""`rollback`: apply an earlier release again, through the same code as apply."""

from __future__ import annotations

import argparse
from dataclasses import replace

from agent.cli.apply import confirm
from agent.cli.output import ProgressLines, print_plan
from agent.cli.session import home_of, stack_from_release
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
    parser.add_argument("-y", "--yes", action="store_true")
    parser.add_argument("--allow-restart", action="append", default=[], metavar="SERVICE")


def run(arguments: argparse.Namespace) -> int:
    """Apply the stored release and return the exit code."""
    home = home_of(arguments)
    with hold(home.lock, message="rollback"):
        number = arguments.number if arguments.number is not None else _previous(arguments)
        release = load_release(home, number)
        stack = replace(stack_from_release(arguments, release=release), tell=ProgressLines("auto"))
        stack = replace(stack, desired=redesire(release.desired, stack.around))
        choices = Choices(allow_restart=frozenset(arguments.allow_restart))
        plan = make_plan(stack, choices)
        print_plan(plan)
        confirm(plan, yes=arguments.yes, allowed=choices.allow_restart)
        applied = apply(stack, choices=choices, cause=f"rollback to {number}")
        ensure_daemon(stack.home, wanted=stack.desired.settings.daemon.enabled)
    if applied.release is not None:
        print(f"Release {applied.release} is release {number} again.")
    return 0


def _previous(arguments: argparse.Namespace) -> int:
    home = home_of(arguments)
    newest = latest(home)
    before = [each for each in numbers(home) if newest and each < newest.number]
    if not before:
        raise UsageError("there is no earlier release", hint="refnet-agent release list")
    return before[-1]
