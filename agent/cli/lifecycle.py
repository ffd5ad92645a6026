"""What `stop`, `start` and `restart` share: some services of the newest release, changed under the lock."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace

from agent.cli.changing import add_progress_arguments, answer, show_of
from agent.cli.session import chosen, home_of, seconds, stack_from_release
from agent.operations.stack import Stack
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all three."""
    parser.add_argument("service", nargs="+", help="which services")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another command")
    add_progress_arguments(parser)


def change_services(arguments: argparse.Namespace, verb: str, change: Callable[[Stack, Iterable[str]], None]) -> int:
    """Carry out the verb on the services named and return 0."""
    with hold(home_of(arguments).lock, message=verb, wait=seconds(arguments.lock_wait)):
        stack = stack_from_release(arguments)
        names = chosen(stack, arguments.service)
        with show_of(arguments) as show:
            show.expect(names)
            change(replace(stack, tell=show), names)
    answer(arguments, {"verb": verb, "services": list(names)})
    return 0
