"""`destroy`: stop and remove everything; the data stays unless `--data` and the stack's name say otherwise."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from agent.cli.changing import add_progress_arguments, answer, ask, ask_words, show_of, speaks
from agent.cli.session import home_of, seconds, stack_from_release
from agent.errors import UsageError
from agent.model.desired import Desired
from agent.model.settings import Settings
from agent.operations.engines import open_engine
from agent.operations.lifecycle import destroy
from agent.operations.releases import latest
from agent.operations.stack import Stack
from agent.render.launch import Surroundings
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask (data is still kept)")
    parser.add_argument("--data", action="store_true", help="also delete data, secrets and certificates")
    parser.add_argument("--confirm", metavar="NAME", help="the stack's name, instead of typing it")
    parser.add_argument("--no-dump", action="store_true", help="delete data without a last verified dump")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another command")
    add_progress_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, destroy, and say what is left."""
    with hold(home_of(arguments).lock, message="destroy", wait=seconds(arguments.lock_wait)):
        stack = _stack(arguments)
        name = stack.desired.settings.name
        if arguments.data:
            _typed_name(arguments, name)
        elif not arguments.yes:
            ask(f"stop and remove every service of {name} (its data is kept)")
        with show_of(arguments) as show:
            dumps = destroy(replace(stack, tell=show), with_data=arguments.data, take_dump=not arguments.no_dump)
    kept = None if arguments.data else str(stack.home.root / "data")
    answer(arguments, {"stack": name, "dumps": list(dumps), "data": kept})
    if speaks(arguments):
        for path in dumps:
            print(f"last dump: {path}")
        print(f"Removed; the data is still in {kept}." if kept else "Removed.")
    return 0


def _stack(arguments: argparse.Namespace) -> Stack:
    """Return what was applied; a first apply that failed left instances but no release."""
    home = home_of(arguments)
    if latest(home) is not None:
        return stack_from_release(arguments)
    engine = open_engine(home)
    if not home.instances.exists():
        raise UsageError(f"nothing has been applied in {home.root}")
    settings = Settings(name=home.root.name)
    around = Surroundings(settings=settings, home=home)
    return Stack(home=home, engine=engine, desired=Desired(settings=settings), around=around, base=home.root)


def _typed_name(arguments: argparse.Namespace, name: str) -> None:
    given = arguments.confirm
    if given is None and sys.stdin.isatty():
        given = ask_words(f"this deletes all data of {name}; type its name: ")
    if given != name:
        raise UsageError(f"deleting data needs the stack's name, {name}", hint=f"--confirm {name}")
