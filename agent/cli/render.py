"""`render`: write what apply would render, without touching anything that runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec

from agent.cli.session import add_file_arguments, among, read_file, stack_from_file
from agent.engine.systemctl import Systemctl, find_systemctl
from agent.errors import UsageError
from agent.model.desired import Desired
from agent.operations.prepare import containerised, with_absolute_command
from agent.operations.stack import Stack
from agent.render.mermaid import render_diagram
from agent.render.systemd import UnitHost, render_unit, unit_name
from agent.system.assets import catalogue
from agent.system.files import write_atomic

_BARE = frozenset({"json", "mermaid"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("--format", choices=("nomad", "systemd", "files", "json", "mermaid"), default="nomad")
    parser.add_argument("--output", metavar="DIR", help="write files there instead of printing them")
    parser.add_argument("--eject", metavar="SERVICE", help="print a catalogue definition, to paste into the file")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the texts; secrets stay placeholders."""
    if arguments.eject:
        return _deliver(arguments, {f"{arguments.eject}.yaml": _ejected(arguments.eject)}, bare=True)
    if arguments.format == "mermaid":
        text = render_diagram(read_file(arguments).settings)
        return _deliver(arguments, {"system.mmd": text}, bare=True)
    stack = stack_from_file(arguments, write=False, runs=False)
    texts = _units(stack) if arguments.format == "systemd" else _texts(stack.desired, arguments.format)
    return _deliver(arguments, texts, bare=arguments.format in _BARE)


def _deliver(arguments: argparse.Namespace, texts: dict[str, str], *, bare: bool) -> int:
    for name, text in texts.items():
        if not arguments.output:
            print(text if bare else f"# {name}\n{text}", end="" if text.endswith("\n") else "\n")
            continue
        path = Path(arguments.output) / name
        if not path.resolve().is_relative_to(Path(arguments.output).resolve()):
            raise UsageError(f"{name} would be written outside {arguments.output}")
        write_atomic(path, text, mode=0o644)
        print(path)
    return 0


def _texts(desired: Desired, form: str) -> dict[str, str]:
    match form:
        case "nomad":
            return {f"{name}.nomad.hcl": text for name, text in desired.job_specs.items()}
        case "files":
            return {f"{each.name}/{file.path}": file.text for each in desired.services for file in each.files}
        case _:
            return {"desired.json": msgspec.json.format(msgspec.json.encode(desired)).decode() + "\n"}


def _units(stack: Stack) -> dict[str, str]:
    """Return the units as apply would write them here, for the systemd found, else for Debian 12's."""
    found = find_systemctl()
    user = os.geteuid() != 0
    host = UnitHost(home=stack.home, user_manager=user)
    if isinstance(found, Systemctl):
        host = UnitHost(home=stack.home, version=found.version, user_manager=found.user)
    texts = {}
    for service in stack.desired.services:
        for launch in service.launches:
            ready = with_absolute_command(stack, service, containerised(stack, service, launch))
            texts[unit_name(stack.home, launch.instance)] = render_unit(ready, host)
    return texts


def _ejected(service: str) -> str:
    """Return the catalogue's definition as it would stand in the file, its comments included."""
    known = catalogue()
    among(tuple(known), [service])
    body = "".join(f"    {line}" if line.strip() else line for line in known[service].read_text().splitlines(True))
    return f"services:\n  {service}:\n{body}"
