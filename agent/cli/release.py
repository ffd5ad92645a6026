"""`release list|show|diff`: the stored releases."""

from __future__ import annotations

import argparse

from agent.cli.output import print_json, print_table
from agent.cli.session import home_of
from agent.core.reconcile import field_causes
from agent.model.desired import Desired
from agent.operations.releases import load_release, numbers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("action", choices=("list", "show", "diff"))
    parser.add_argument("number", nargs="*", type=int, help="show N; diff N M (default: the last two)")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Print what is asked for."""
    home = home_of(arguments)
    known = numbers(home)
    if arguments.action == "list":
        releases = [load_release(home, number) for number in known]
        rows = [(str(each.number), f"{each.at:%Y-%m-%d %H:%M:%S}", each.cause) for each in releases]
        if arguments.json:
            print_json([{"number": int(number), "at": at, "cause": cause} for number, at, cause in rows])
        else:
            print_table(("RELEASE", "AT", "CAUSE"), rows)
        return 0
    if arguments.action == "show":
        number = arguments.number[0] if arguments.number else (known[-1] if known else 0)
        print_json(_fields(load_release(home, number).desired))
        return 0
    first, second = arguments.number if len(arguments.number) == 2 else (known[-2:] if len(known) > 1 else (0, 0))
    old, new = (_fields(load_release(home, number).desired) for number in (first, second))
    for service in sorted(old.keys() | new.keys()):
        for _, cause in field_causes(old.get(service, {}), new.get(service, {})):
            print(f"{service}: {cause}")
    return 0


def _fields(desired: Desired) -> dict[str, dict[str, str]]:
    return {
        each.name: {**each.launches[0].fields, **each.launches[0].files} for each in desired.services if each.launches
    }
