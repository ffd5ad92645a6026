"""`logs`: the output of services, merged by time."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from agent.cli.log_lines import Prefix, follow, merge
from agent.cli.output import print_line
from agent.cli.session import among, home_of, seconds
from agent.errors import AgentError
from agent.operations.engines import open_engine
from agent.operations.releases import latest
from agent.operations.unreleased import logged_instances


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", nargs="*", help="only these services, or instances such as api-2")
    parser.add_argument("-n", "--lines", type=int, help="how many old lines of each (default: 50, with --since all)")
    parser.add_argument("--since", metavar="DURATION", help="only what is younger than this, such as 10m")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines are written, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(arguments: argparse.Namespace) -> int:
    """Print the lines, oldest first; with --follow until Ctrl-C."""
    home = home_of(arguments)
    instances = logged_instances(home)
    release = latest(home)
    known = {service for service, _ in instances} | {name for _, name in instances}
    known |= {each.name for each in release.desired.services} if release else set()
    if not known:
        raise AgentError(f"nothing has been applied in {home.root}", hint="refnet-agent apply -f refnet.yaml")
    wanted = among(tuple(sorted(known)), arguments.service)
    names = [name for service, name in instances if service in wanted or name in wanted]
    since = datetime.now(UTC) - timedelta(seconds=seconds(arguments.since)) if arguments.since else None
    engine = open_engine(home)
    lines = arguments.lines if arguments.lines is not None else (None if since else 50)
    prefix = Prefix(names)
    for line in (follow if arguments.follow else merge)(engine, names, lines, since):
        if arguments.json:
            print_line({"at": line.at.isoformat(), "instance": line.instance, "text": line.text})
        else:
            print(prefix.before(line), flush=arguments.follow)
    return 0
