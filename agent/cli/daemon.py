"""`daemon`: watch this home in the foreground, as a service manager runs it; apply starts one by itself."""

from __future__ import annotations

import argparse

from agent.cli.session import home_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are no options: what it watches is in the newest release."""


def run(arguments: argparse.Namespace) -> int:
    """Watch until a signal ends it; 75 when another daemon watches this home."""
    from agent.daemon.main import main  # noqa: PLC0415 - no other verb pays for the daemon

    return main([str(home_of(arguments).root)])
