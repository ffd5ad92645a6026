"""`logs`: the output of services, merged by time."""

from __future__ import annotations

import argparse
import heapq
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from agent.cli.apply import seconds
from agent.cli.output import printable
from agent.cli.session import chosen, stack_from_release
from agent.model.instance import LogLine
from agent.operations.stack import Stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument("-n", "--lines", type=int, default=50, help="how many lines of each instance first")
    parser.add_argument("--since", metavar="DURATION", help="only what is younger than this, such as 10m")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines are written")


def run(arguments: argparse.Namespace) -> int:
    """Print the lines, oldest first; with --follow until Ctrl-C."""
    stack = stack_from_release(arguments)
    names = chosen(stack, arguments.service)
    instances = [each.instance for each in stack.engine.observe() if each.service in names]
    since = datetime.now(UTC) - timedelta(seconds=seconds(arguments.since)) if arguments.since else None
    width = max(map(len, instances), default=0)
    merged = _follow if arguments.follow else _merge
    for line in merged(stack, instances, arguments.lines, since):
        print(f"{line.at:%Y-%m-%d %H:%M:%S} {line.instance:<{width}} | {printable(line.text)}", flush=arguments.follow)
    return 0


def _merge(stack: Stack, instances: list[str], lines: int, since: datetime | None) -> Iterator[LogLine]:
    streams = [stack.engine.logs(name, lines=lines, since=since, follow=False) for name in instances]
    return heapq.merge(*streams, key=lambda line: line.at)


def _follow(stack: Stack, instances: list[str], lines: int, since: datetime | None) -> Iterator[LogLine]:
    waiting: queue.Queue[LogLine] = queue.Queue(maxsize=10_000)

    def read(name: str) -> None:
        for line in stack.engine.logs(name, lines=lines, since=since, follow=True):
            waiting.put(line)

    for name in instances:
        threading.Thread(target=read, args=(name,), daemon=True).start()
    while True:
        yield waiting.get()
