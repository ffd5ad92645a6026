"""`exec SERVICE -- COMMAND`: run a command with a service's user, folder, environment and secrets."""

from __future__ import annotations

from agent.cli.command_beside import add_arguments, run

__all__ = ["add_arguments", "run"]
