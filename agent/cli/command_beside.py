"""What `run` and `exec` share: a command with a service's identity, its output passed through."""

from __future__ import annotations

import argparse
import sys

from agent.cli.session import chosen, stack_from_release
from agent.errors import UsageError
from agent.operations.prepare import run_beside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of both verbs."""
    parser.add_argument("service")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    stack = stack_from_release(arguments)
    chosen(stack, [arguments.service])
    command = tuple(word for position, word in enumerate(arguments.command) if (position, word) != (0, "--"))
    if not command:
        raise UsageError("which command?", hint=f"refnet-agent run {arguments.service} -- COMMAND")
    service = stack.desired.find(arguments.service)
    if service is None or not service.launches:
        raise UsageError(f"{arguments.service} does not run on this host")
    result = run_beside(stack, service, command, timeout=arguments.timeout, check=False)
    sys.stdout.write(result.output)
    sys.stderr.write(result.error)
    return result.code if result.code >= 0 else 128 - result.code
