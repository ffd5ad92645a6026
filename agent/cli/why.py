"""`why`: the nearest cause of what is wrong, what shows it, what was done, and what to do next."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from agent.cli.output import print_json
from agent.cli.session import chosen, stack_from_release
from agent.cli.terminal import colour, printable
from agent.model.diagnosis import Diagnosis
from agent.operations.why import explain, explain_all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="?", help="only this service (default: every root of trouble)")
    parser.add_argument("--json", action="store_true", help="print one object, a list of them without a service")


def run(arguments: argparse.Namespace) -> int:
    """Print the diagnoses; exit 0 when all is well, 2 when something is wrong."""
    stack = stack_from_release(arguments)
    if arguments.service:
        chosen(stack, [arguments.service])
    found = (explain(stack, arguments.service),) if arguments.service else explain_all(stack)
    ill = [each for each in found if each.symptom]
    if arguments.json:
        print_json(asdict(found[0]) if arguments.service else [asdict(each) for each in found])
        return 2 if ill else 0
    for diagnosis in ill:
        _print(diagnosis)
    if not ill:
        print(f"{arguments.service} is well." if arguments.service else "Nothing is wrong.")
    return 2 if ill else 0


def _print(diagnosis: Diagnosis) -> None:
    print(f"{colour(diagnosis.service, 'bold')}: {diagnosis.symptom}")
    for cause in diagnosis.causes:
        print(f"  {colour('←', 'red')} {cause.subject} {cause.what}")
        for line in cause.evidence:
            print(f"      {colour('seen', 'dim')}  {printable(line.splitlines()[0] if line else '')[:200]}")
        if cause.fix:
            print(f"      {colour('fix', 'green')}   {cause.fix}")
    for line in diagnosis.done:
        print(f"  done        {line}")
    if diagnosis.left_alone:
        print(f"  left alone  {', '.join(diagnosis.left_alone)}: they only suffer from it")
