"""`plan`: show what apply would change; exit 2 when something would."""

from __future__ import annotations

import argparse

from agent.cli.output import plan_object, print_json, print_plan
from agent.cli.session import add_file_arguments, chosen, stack_from_file
from agent.core.reconcile import Choices
from agent.operations.apply import make_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("--allow-restart", action="append", default=[], metavar="SERVICE")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan and return 0 or 2."""
    stack = stack_from_file(arguments, write=False)
    only = frozenset(chosen(stack, arguments.service)) if arguments.service else frozenset[str]()
    plan = make_plan(stack, Choices(only=only, allow_restart=frozenset(arguments.allow_restart)))
    if arguments.json:
        print_json(plan_object(plan))
    else:
        print_plan(plan)
    return 0 if plan.is_empty else 2
