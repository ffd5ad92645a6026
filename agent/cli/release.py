"""`release list|show|diff`: the stored releases and how they differ."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.output import print_json, print_table
from agent.cli.session import home_of
from agent.cli.terminal import colour
from agent.errors import AgentError, StateUnreadable, UsageError
from agent.model.home import Home
from agent.operations.release_changes import ServiceChange, changes_between, code_of
from agent.operations.releases import Release, load_release, numbers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("action", choices=("list", "show", "diff"))
    parser.add_argument("number", nargs="*", type=int, help="show N (default: the newest); diff N M (the last two)")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(arguments: argparse.Namespace) -> int:
    """Print what is asked for."""
    home = home_of(arguments)
    known = numbers(home)
    wanted = {"list": 0, "show": 1, "diff": 2}[arguments.action]
    if len(arguments.number) > wanted:
        raise UsageError(f"release {arguments.action} takes at most {wanted} numbers")
    if arguments.action == "list":
        return _list(home, known, as_json=arguments.json)
    if not known:
        raise AgentError(f"nothing has been applied in {home.root}", hint="refnet-agent apply -f refnet.yaml")
    if arguments.action == "show":
        return _show(home, known, arguments.number[0] if arguments.number else known[-1], as_json=arguments.json)
    return _diff(home, known, arguments.number, as_json=arguments.json)


def _list(home: Home, known: tuple[int, ...], *, as_json: bool) -> int:
    found = [each for number in known if (each := _readable(home, number)) is not None]
    if as_json:
        print_json({"releases": [_summary(each) for each in found]})
        return 0
    rows = [
        (str(each.number), f"{each.at.astimezone():%Y-%m-%d %H:%M:%S}", each.by or "-", _migrated(each), each.cause)
        for each in found
    ]
    print_table(("RELEASE", "AT", "BY", "MIGRATED", "CAUSE"), rows, spare=("BY", "MIGRATED"))
    return 0


def _show(home: Home, known: tuple[int, ...], number: int, *, as_json: bool) -> int:
    release = load_release(home, number)
    earlier = [each for each in known if each < number]
    previous = _readable(home, earlier[-1]) if earlier else None
    changes = changes_between(previous.desired if previous else None, release.desired)
    if as_json:
        told = {"previous": previous.number if previous else None, "changes": [_told(each) for each in changes]}
        print_json({**_summary(release), **told})
        return 0
    print(f"release {release.number}: {release.cause}")
    print(f"  at        {release.at.astimezone():%Y-%m-%d %H:%M:%S %Z}" + (f" by {release.by}" if release.by else ""))
    print(f"  migrated  {_migrated(release)}")
    for service, digest in code_of(release.desired).items():
        print(f"  code      {service}: {digest[:12]}")
    print(f"  changed since release {previous.number}:" if previous else "  the first release:")
    for change in changes:
        print(f"    {change.service} {change.kind}" + (f": {'; '.join(change.causes)}" if change.causes else ""))
    if not changes:
        print("    nothing that runs")
    return 0


def _diff(home: Home, known: tuple[int, ...], given: list[int], *, as_json: bool) -> int:
    if len(given) == 1:
        given = [given[0], known[-1]]
    if not given and len(known) < 2:
        raise UsageError(f"there is only release {known[0]}", hint=f"refnet-agent release show {known[0]}")
    first, second = given or known[-2:]
    changes = changes_between(load_release(home, first).desired, load_release(home, second).desired, texts=True)
    if as_json:
        print_json({"from": first, "to": second, "changes": [_told(each) for each in changes]})
        return 0
    for change in changes:
        print(colour(f"{change.service} {change.kind}", "bold"))
        for cause in change.causes:
            print(f"  {cause}")
        for text in change.diffs.values():
            for line in text.splitlines():
                print(colour(line, tint) if (tint := _TINTS.get(line[:1])) else line)
    if not changes:
        print(f"Releases {first} and {second} run the same.")
    return 0


_TINTS = {"+": "green", "-": "red", "@": "cyan"}


def _readable(home: Home, number: int) -> Release | None:
    try:
        return load_release(home, number)
    except StateUnreadable:
        return None


def _summary(release: Release) -> dict[str, Any]:
    return {
        "number": release.number,
        "at": release.at.isoformat(timespec="seconds"),
        "by": release.by or None,
        "cause": release.cause,
        "migrated": release.migrated,
        "code": code_of(release.desired),
    }


def _told(change: ServiceChange) -> dict[str, Any]:
    files = [{"path": path, "diff": text} for path, text in change.diffs.items()]
    return {"service": change.service, "kind": change.kind, "causes": list(change.causes), "files": files}


def _migrated(release: Release) -> str:
    return "yes" if release.migrated else "no"
