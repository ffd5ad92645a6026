"""Open a stack for a verb: from the file for plan and apply, from the stored release for all others."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from agent.engine.base import Engine
from agent.engine.process import ProcessEngine
from agent.errors import ConfigurationError, UsageError
from agent.model.home import Home
from agent.model.settings import EngineName
from agent.model.units import parse_duration
from agent.operations.engines import open_engine, refuse_switch
from agent.operations.opening import open_release
from agent.operations.releases import Release
from agent.operations.stack import Stack, default_home, with_generated
from agent.system.secret_store import read_secrets, write_secrets

if TYPE_CHECKING:
    from agent.config.read import Configuration

_PLACES = (Path("refnet.yaml"), Path("/etc/refnet-agent/refnet.yaml"))


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which file, overlay and single values to read."""
    parser.add_argument("-f", "--file", help="the file (default: ./refnet.yaml, /etc/refnet-agent/refnet.yaml)")
    parser.add_argument("-e", "--environment", help="also read the overlay refnet.<environment>.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one value")


def file_path(arguments: argparse.Namespace) -> Path | None:
    """Return the file named, else the first of the usual places that there is."""
    return Path(arguments.file) if arguments.file else next((each for each in _PLACES if each.exists()), None)


def read_file(arguments: argparse.Namespace) -> Configuration:
    """Return the decoded file; raise ConfigurationError with every problem."""
    from agent.config.read import read_settings  # noqa: PLC0415 - verbs that need no file never pay for the decoder
    from agent.system.assets import catalogue  # noqa: PLC0415

    path = file_path(arguments)
    if path is None:
        places = " or ".join(map(str, _PLACES))
        raise ConfigurationError((f"no file: neither {places} exists",), hint="name it with -f FILE")
    overrides = tuple(arguments.set)
    return read_settings(path, environment=arguments.environment, overrides=overrides, catalogue=catalogue())


def stack_from_file(
    arguments: argparse.Namespace, *, write: bool, runs: bool = True, configuration: Configuration | None = None
) -> Stack:
    """Return the stack the file asks for.

    `write` generates missing secrets, once everything else is known to be right; `runs` refuses an engine that
    cannot run services yet. Who has read the file already passes its `configuration`.
    """
    from agent.operations.desire import desire, surroundings  # noqa: PLC0415

    configuration = configuration or read_file(arguments)
    home = default_home(arguments.home)
    base = configuration.path.resolve().parent
    settings = configuration.settings
    if runs and settings.engine is EngineName.NOMAD:
        origin = configuration.origins.get("engine", str(configuration.path))
        problem = f"{origin}: engine: {settings.engine} cannot run services yet, only its job specs are rendered"
        raise ConfigurationError((problem,), hint="use engine: process or systemd")
    if runs:
        refuse_switch(home, settings.engine)
    engine: Engine = open_engine(home, settings.engine) if runs else ProcessEngine(home.root)
    known = read_secrets(home.secrets)
    store = with_generated(settings, known) if write else known
    around = surroundings(settings, home, store)
    desired = desire(settings, around, base=base)
    if write and (store is not known or not home.secrets.exists()):
        write_secrets(home.secrets, store)
    return Stack(home=home, engine=engine, desired=desired, around=around, base=base)


def stack_from_release(arguments: argparse.Namespace, *, release: Release | None = None) -> Stack:
    """Return the stack of a stored release, the newest by default; raise AgentError when nothing was applied."""
    return open_release(default_home(arguments.home), release)


def home_of(arguments: argparse.Namespace) -> Home:
    """Return the home the verb works on."""
    return default_home(arguments.home)


def chosen(stack: Stack, names: list[str], *, every: bool = True) -> tuple[str, ...]:
    """Return the services named, all of them when none is and `every`; raise UsageError for an unknown one."""
    return among(tuple(each.name for each in stack.desired.services), names, every=every)


def among(known: tuple[str, ...], names: list[str], *, every: bool = True) -> tuple[str, ...]:
    """Return the names, all known ones when none is given and `every`; raise UsageError for an unknown one."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no service {name}", hint=f"{hint}services: {', '.join(known)}")
    return tuple(names) or (known if every else ())


def seconds(text: str) -> float:
    """Return a duration from the command line in seconds; raise UsageError for another text."""
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(str(error)) from error
