"""What `run` and `exec` share: a command with a service's identity, on our terminal or through our pipes."""

from __future__ import annotations

import argparse

from agent.cli.session import chosen, seconds, stack_from_release
from agent.errors import UsageError
from agent.operations.attach import run_attached


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of both verbs."""
    parser.add_argument("--timeout", metavar="DURATION", help="end it after this long, such as 10m (default: never)")
    parser.add_argument("service", help="whose user, folder, environment and secrets")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")


def run_command(arguments: argparse.Namespace, *, beside: bool) -> int:
    """Run the command and return its exit code; `beside` wants a running instance, which may be named itself."""
    stack = stack_from_release(arguments)
    name, number = arguments.service, 1
    before, dash, after = name.rpartition("-")
    if beside and dash and after.isdigit() and stack.desired.find(name) is None:
        name, number = before, int(after)
    chosen(stack, [name])
    # Between the service and its command there may be a --, which argparse leaves in or takes out as it likes.
    command = tuple(arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command)
    if not command:
        raise UsageError("which command?", hint=f"refnet-agent run {name} -- COMMAND")
    service = stack.desired.find(name)
    if service is None or not service.launches:
        raise UsageError(f"{name} does not run on this host")
    if beside and not any(seen.pid for each, seen in stack.seen(name).items() if each.endswith(f"-{number}")):
        raise UsageError(f"{name}-{number} is not running", hint=f"refnet-agent run {name} -- COMMAND needs none")
    timeout = seconds(arguments.timeout) if arguments.timeout else None
    return run_attached(stack, service, command, number=number, timeout=timeout)
