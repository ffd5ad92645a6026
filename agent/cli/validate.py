"""`validate`: check the file; show what it resolves to and why, or its JSON Schema."""

from __future__ import annotations

import argparse

from agent.cli.output import print_json
from agent.cli.session import add_file_arguments, home_of, read_file
from agent.config.schema import json_schema
from agent.core.lint import lint
from agent.operations.desire import desire, surroundings
from agent.system.secret_store import read_secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the file")
    parser.add_argument("--resolved", action="store_true", help="print every effective value")
    parser.add_argument("--origins", action="store_true", help="with --resolved: say where each value came from")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(arguments: argparse.Namespace) -> int:
    """Print what is asked for; problems are raised, all at once."""
    if arguments.schema:
        print_json(json_schema())
        return 0
    configuration = read_file(arguments)
    if arguments.resolved or arguments.origins:
        if arguments.json:
            origins = {"origins": configuration.origins} if arguments.origins else {}
            print_json({"resolved": configuration.resolved, **origins})
        else:
            _print_tree(configuration.resolved, configuration.origins if arguments.origins else {})
        return 0
    home = home_of(arguments)
    around = surroundings(configuration.settings, home, read_secrets(home.secrets))
    desire(configuration.settings, around, base=configuration.path.resolve().parent)
    for sentence in lint(configuration.settings):
        print(f"hint: {sentence}")
    if arguments.json:
        print_json({"file": str(configuration.path), "services": list(configuration.settings.services)})
        return 0
    print(f"{configuration.path}: {len(configuration.settings.services)} services, no problem found")
    return 0


def _print_tree(tree: object, origins: dict[str, str], path: str = "") -> None:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            _print_tree(value, origins, f"{path}.{key}" if path else str(key))
        return
    origin = origins.get(path, "")
    print(f"{path}: {tree!r}" + (f"  # {origin}" if origin else ""))
