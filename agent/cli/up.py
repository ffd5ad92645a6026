"""`up`: apply in the foreground, show the logs, and on Ctrl-C stop what it started."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from agent.cli.apply import apply_file
from agent.cli.changing import add_progress_arguments, show_of, speaks
from agent.cli.log_lines import Prefix, follow
from agent.cli.output import print_line
from agent.cli.session import add_file_arguments, home_of, read_file, seconds, stack_from_file
from agent.operations.lifecycle import stop_started
from agent.operations.stack import Stack
from agent.system.lock import hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before removing or a protected restart")
    parser.add_argument("--allow-restart", action="append", default=[], metavar="SERVICE")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another command")
    add_progress_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply, then print the logs until Ctrl-C; what ran before goes on, the rest is stopped in reverse order."""
    home = home_of(arguments)
    stack: Stack | None = None
    before: frozenset[str] = frozenset()
    began = datetime.now(UTC)
    configuration = read_file(arguments)
    try:
        with hold(home.lock, message="up", wait=seconds(arguments.lock_wait)):
            stack = stack_from_file(arguments, write=True, configuration=configuration)
            before = _running(stack)
            apply_file(arguments, stack)
        _show_logs(arguments, stack, began)
    finally:
        if stack is not None and (started := _running(stack) - before):
            _stop(arguments, stack, started, daemon=not before)
    return 0


def _running(stack: Stack) -> frozenset[str]:
    return frozenset(seen.instance for seen in stack.engine.observe() if seen.pid or seen.keeper_pid)


def _show_logs(arguments: argparse.Namespace, stack: Stack, began: datetime) -> None:
    names = sorted(_running(stack))
    if speaks(arguments):
        print(f"Logs of {len(names)} instances; Ctrl-C stops what this started.")
    prefix = Prefix(names)
    for line in follow(stack.engine, names, None, began):
        if arguments.json or arguments.progress == "json":
            print_line({"at": line.at.isoformat(), "instance": line.instance, "text": line.text})
        else:
            print(prefix.before(line), flush=True)


def _stop(arguments: argparse.Namespace, stack: Stack, instances: Iterable[str], *, daemon: bool) -> None:
    with hold(stack.home.lock, message="up: stopping", wait=30.0), show_of(arguments) as show:
        stop_started(replace(stack, tell=show), frozenset(instances), with_daemon=daemon)
