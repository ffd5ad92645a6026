"""`render`: write what apply would render, without touching anything that runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from agent.cli.session import add_file_arguments, stack_from_file
from agent.model.desired import Desired
from agent.system.files import write_atomic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("--format", choices=("nomad", "files", "json"), default="nomad")
    parser.add_argument("--output", metavar="DIR", help="write files there instead of printing them")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the texts; secrets stay placeholders."""
    desired = stack_from_file(arguments, write=False, runs=False).desired
    for name, text in _texts(desired, arguments.format).items():
        if arguments.output:
            write_atomic(Path(arguments.output) / name, text, mode=0o644)
        else:
            print(f"# {name}\n{text}")
    return 0


def _texts(desired: Desired, form: str) -> dict[str, str]:
    match form:
        case "nomad":
            return {f"{name}.nomad.hcl": text for name, text in desired.job_specs.items()}
        case "files":
            return {f"{each.name}/{file.path}": file.text for each in desired.services for file in each.files}
        case _:
            return {"desired.json": msgspec.json.format(msgspec.json.encode(desired)).decode()}
