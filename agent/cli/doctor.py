"""`doctor`: what is wrong with this host, each finding with its fix; exit 1 when something grave is."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from agent.cli.output import print_json
from agent.cli.session import add_file_arguments, home_of, stack_from_file, stack_from_release
from agent.cli.terminal import state_colour
from agent.operations.doctor import examine
from agent.operations.releases import latest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Examine the file's stack if one is named or nothing was applied yet, else what was applied."""
    from_file = arguments.file or latest(home_of(arguments)) is None
    stack = stack_from_file(arguments, write=False) if from_file else stack_from_release(arguments)
    findings = examine(stack)
    if arguments.json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            word = "failed" if finding.severity == "critical" else finding.severity
            print(f"{state_colour(word)} {finding.subject}: {finding.what}\n  fix: {finding.fix}")
        if not findings:
            print("Nothing is wrong that this looks for: binaries, ports, disk, modes, clock, keepers.")
    return 1 if any(finding.severity == "critical" for finding in findings) else 0
