"""`check INSTANCE NAME STATUS`: push a result of a ttl check, as a service does itself."""

from __future__ import annotations

import argparse

from agent.cli.session import stack_from_release
from agent.errors import UsageError
from agent.model.check import CheckType, Status
from agent.operations.pushed import push_path, write_push


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("instance", help="such as worker-1")
    parser.add_argument("name", help="the ttl check's name")
    parser.add_argument("status", choices=[str(each) for each in Status])
    parser.add_argument("--output", default="", metavar="TEXT", help="what people are shown")


def run(arguments: argparse.Namespace) -> int:
    """Push the result and return 0."""
    stack = stack_from_release(arguments)
    for service in stack.desired.services:
        for launch in service.launches:
            if launch.instance != arguments.instance:
                continue
            pushed = [check for check in service.service.checks if check.type is CheckType.TTL]
            for check in pushed:
                if check.title == arguments.name:
                    path = push_path(stack.home, service=service.name, instance=launch.instance, check=check)
                    write_push(path, Status(arguments.status), arguments.output)
                    return 0
            known = ", ".join(check.title for check in pushed) or "none"
            raise UsageError(f"{launch.instance} has no ttl check {arguments.name!r}; it has: {known}")
    raise UsageError(f"there is no instance {arguments.instance!r}", hint="see: refnet-agent status")
