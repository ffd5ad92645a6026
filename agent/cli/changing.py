"""What verbs that change something share: how they show progress, what they answer, and how they ask."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from agent.cli.output import print_json, print_line
from agent.cli.progress import MODES, Show, progress
from agent.errors import UsageError


def add_progress_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how progress and the answer are shown."""
    parser.add_argument("--progress", choices=MODES, default="auto", help="how to show what happens (default: auto)")
    parser.add_argument("--json", action="store_true", help="print one object at the end, nothing else")


def show_of(arguments: argparse.Namespace) -> Show:
    """Return what shows the steps."""
    return progress("quiet" if arguments.json else arguments.progress)


def speaks(arguments: argparse.Namespace) -> bool:
    """Return whether sentences for people are printed at all."""
    return not arguments.json and arguments.progress not in {"json", "quiet"}


def answer(arguments: argparse.Namespace, value: dict[str, Any]) -> None:
    """Print the verb's object when JSON is asked for: whole, or as the last of the progress lines."""
    if arguments.json:
        print_json(value)
    elif arguments.progress == "json":
        print_line(value)


def ask(question: str) -> None:
    """Return when a person says yes; raise UsageError for anything else, or when nobody is there."""
    if not sys.stdin.isatty():
        raise UsageError(f"this needs an answer: {question}", hint="say it with -y")
    if ask_words(f"{question}: go on? [y/N] ").lower() not in {"y", "yes"}:
        raise UsageError("nothing was changed")


def ask_words(question: str) -> str:
    """Return what a person types; the question goes to standard error, so that answers can be piped."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
