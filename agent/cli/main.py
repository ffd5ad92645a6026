"""The command `refnet-agent`: one verb a file, exit codes, and the only place that catches errors."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from agent.errors import AgentError, UsageError

VERSION = "0.1.0"

EVERYDAY = {
    "apply": "bring the system to what the file says",
    "plan": "show what apply would change, and why",
    "status": "show every service and how it is",
    "logs": "show or follow the output of services",
    "restart": "restart services",
    "run": "run a one-off command with a service's environment",
    "rollback": "go back to an earlier release",
    "doctor": "look for what is wrong with this host",
}
FURTHER = {
    "stop": "stop services and hold them down",
    "start": "start services that were stopped",
    "exec": "run a command beside a running instance",
    "destroy": "stop and remove everything, keeping the data",
    "events": "show what happened, and why",
    "validate": "check the file, show what it resolves to, or its schema",
    "render": "write job specs or files without applying them",
    "release": "list, show or compare releases",
    "secret": "set or list secrets",
    "daemon": "watch this home in the foreground, under a service manager",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    os.umask(0o022)
    given = list(sys.argv[1:] if words is None else words)
    try:
        return _run(given)
    except AgentError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  next: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone; Python would complain again when it flushes at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    verbs = EVERYDAY | FURTHER
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0 if words else 64
    if words[0] == "--version":
        print(f"refnet-agent {VERSION}")
        return 0
    name = words[0]
    if name not in verbs:
        near = difflib.get_close_matches(name, verbs, n=1)
        hint = f"did you mean {near[0]}?" if near else "see: refnet-agent --help"
        raise UsageError(f"there is no verb {name}", hint=hint)
    module = importlib.import_module(f"agent.cli.{name}")
    parser = _Parser(prog=f"refnet-agent {name}", description=verbs[name])
    parser.add_argument("--home", help="where everything is kept (default: REFNET_HOME, or the system's place)")
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(words[1:])))


class _Parser(argparse.ArgumentParser):
    """argparse with our exit code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{self.prog}: {message}", hint=f"see: {self.prog} --help")


def _overview() -> str:
    lines = ["usage: refnet-agent VERB [options]", "", "every day:"]
    lines += [f"  {name:<10} {text}" for name, text in EVERYDAY.items()]
    lines += ["", "further:"]
    lines += [f"  {name:<10} {text}" for name, text in FURTHER.items()]
    return "\n".join([*lines, "", "refnet-agent VERB --help tells more about one of them."])
