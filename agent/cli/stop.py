"""`stop`: stop services, dependents first, and hold them down."""

from __future__ import annotations

import argparse

from agent.cli.lifecycle import add_arguments, change_services
from agent.operations.lifecycle import stop

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Do it and return 0."""
    return change_services(arguments, "stop", stop)
