"""The command `refnet-agent`: one verb a file, exit codes, and the only place that catches errors."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from agent.errors import AgentError, Interrupted, UsageError

VERSION = "0.1.0"

EVERYDAY = {
    "apply": "bring the system to what the file says",
    "plan": "show what apply would change, and why",
    "status": "show every service and how it is",
    "logs": "show or follow the output of services",
    "why": "say what is wrong, and why",
    "restart": "restart services",
    "run": "run a one-off command with a service's environment",
    "rollback": "go back to an earlier release",
    "doctor": "look for what is wrong with this host",
}
FURTHER = {
    "stop": "stop services and hold them down",
    "start": "start services that were stopped",
    "exec": "run a command beside a running instance",
    "up": "apply, show the logs, and stop everything again on Ctrl-C",
    "destroy": "stop and remove everything, keeping the data",
    "events": "show what happened, and why",
    "alerts": "list incidents and notices, or try a channel",
    "check": "push a result of a ttl check",
    "maintenance": "work on a service: nobody is woken, nothing is restarted",
    "validate": "check the file, show what it resolves to, or its schema",
    "render": "write job specs or files without applying them",
    "release": "list, show or compare releases",
    "periodic": "list, run, pause or look back on scheduled work",
    "secret": "set or list secrets",
    "daemon": "watch this home in the foreground, under a service manager",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _terminate)
    given = list(sys.argv[1:] if words is None else words)
    try:
        code = _run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(given, Interrupted("interrupted"))
    except AgentError as error:
        return _fail(given, error)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            # Python would complain again when it flushes at exit.
            _write_nowhere()
            return 0
        return _fail(given, _from_system(error))
    return code


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM takes the same way out as Ctrl-C."""
    raise KeyboardInterrupt


def _reader_has_gone() -> bool:
    """Return whether the pipe that broke is our standard output, not a socket to somebody else."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    return any(found & select.POLLERR for _, found in watched.poll(0))


def _fail(words: list[str], error: AgentError) -> int:
    """Say what happened on standard error, and as JSON where JSON was asked for."""
    with contextlib.suppress(OSError):
        if _wants_json(words):
            told = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
            print(json.dumps({"error": {**told, "exit_code": error.exit_code}}, ensure_ascii=False), flush=True)
        said = error.message if isinstance(error, Interrupted) else f"error: {error.message}"
        if said:
            print(said, file=sys.stderr)
        if error.hint:
            print(f"  next: {error.hint}", file=sys.stderr)
        return error.exit_code
    _write_nowhere()
    return error.exit_code


def _wants_json(words: list[str]) -> bool:
    ours = words[: words.index("--")] if "--" in words else words
    return "--json" in ours or "--progress=json" in ours or ("--progress", "json") in zip(ours, ours[1:], strict=False)


def _from_system(error: OSError) -> AgentError:
    """Give an error of the operating system a next step."""
    where = f" ({error.filename})" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            hint = "free some space and try again: what runs goes on"
        case errno.EACCES | errno.EPERM:
            hint = "who owns it? run as its owner, or choose another home: --home DIR"
        case errno.EROFS:
            hint = "choose a home that can be written: --home DIR"
        case _:
            hint = "see: refnet-agent doctor"
    return AgentError(f"{error.strerror or error}{where}", hint=hint)


def _write_nowhere() -> None:
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    verbs = EVERYDAY | FURTHER
    if any(word == "--on" or word.startswith("--on=") for word in words):
        from agent.cli.remote import run_there, split_destination  # noqa: PLC0415 - only for another machine

        destination, rest = split_destination(words)
        if destination is not None:
            return run_there(destination, rest)
    match words:
        case [] | ["-h" | "--help" | "help", *_]:
            print(_overview())
            return 0 if words else 64
        case ["--version", *_]:
            print(f"refnet-agent {VERSION}")
            return 0
        case ["--completion" | "--complete-services", *_]:
            from agent.cli.completion import complete  # noqa: PLC0415 - only a shell that starts asks for it

            return complete(words)
    name = words[0]
    if name not in verbs:
        near = difflib.get_close_matches(name, verbs, n=1)
        hint = f"did you mean {near[0]}?" if near else "see: refnet-agent --help"
        raise UsageError(f"there is no verb {name}", hint=hint)
    module = importlib.import_module(f"agent.cli.{name}")
    return int(module.run(parser_of(name).parse_args(words[1:])))


def parser_of(verb: str) -> argparse.ArgumentParser:
    """Return the parser of one verb."""
    parser = _Parser(prog=f"refnet-agent {verb}", description=(EVERYDAY | FURTHER)[verb], allow_abbrev=False)
    parser.add_argument("--home", help="where everything is kept (default: REFNET_HOME, or the system's place)")
    importlib.import_module(f"agent.cli.{verb}").add_arguments(parser)
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse with our exit code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of leaving."""
        raise UsageError(f"{self.prog}: {message}", hint=f"see: {self.prog} --help")


def _overview() -> str:
    lines = ["usage: refnet-agent VERB [options]", "", "every day:"]
    lines += [f"  {name:<10} {text}" for name, text in EVERYDAY.items()]
    lines += ["", "further:"]
    lines += [f"  {name:<10} {text}" for name, text in FURTHER.items()]
    return "\n".join(
        [*lines, "", "refnet-agent VERB --help tells more about one of them;\n--on ssh://user@host runs it there."]
    )
