"""`exec SERVICE|INSTANCE -- COMMAND`: the same beside an instance that runs."""

from __future__ import annotations

import argparse

from agent.cli.command_beside import add_arguments, run_command

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return run_command(arguments, beside=True)
