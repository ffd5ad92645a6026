"""`restart`: restart services, one instance at a time."""

from __future__ import annotations

import argparse

from agent.cli.lifecycle import add_arguments, change_services
from agent.operations.lifecycle import restart

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Do it and return 0."""
    return change_services(arguments, "restart", restart)
