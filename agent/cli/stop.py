"""`stop`: stop services, dependents first, and hold them down."""

from __future__ import annotations

import argparse
from dataclasses import replace

from agent.cli.output import ProgressLines
from agent.cli.session import chosen, home_of, stack_from_release
from agent.operations.lifecycle import stop
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="+", help="which services")


def run(arguments: argparse.Namespace) -> int:
    """Do it and return 0."""
    with hold(home_of(arguments).lock, message="stop"):
        stack = replace(stack_from_release(arguments), tell=ProgressLines("auto"))
        stop(stack, chosen(stack, arguments.service))
    return 0
