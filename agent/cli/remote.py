"""`--on ssh://user@host[:port]`: run the verb there, with our terminal, by the ssh of this machine."""

from __future__ import annotations

import os
import shlex
from urllib.parse import urlsplit

from agent.errors import AgentError, UsageError
from agent.system.command import find_binary
from agent.system.foreground import run_in_foreground

_SSH_FAILED = 255
_PASSED_ON = ("PATH", "HOME", "USER", "TERM", "LANG", "SSH_AUTH_SOCK")


def split_destination(words: list[str]) -> tuple[str | None, list[str]]:
    """Return where the verb is to run, None for here, and the words without that option."""
    end = words.index("--") if "--" in words else len(words)
    for position, word in enumerate(words[:end]):
        if word.startswith("--on="):
            return word.removeprefix("--on="), [*words[:position], *words[position + 1 :]]
        if word == "--on":
            if position + 1 >= end:
                raise UsageError("--on needs an address", hint="--on ssh://user@host")
            return words[position + 1], [*words[:position], *words[position + 2 :]]
    return None, words


def run_there(destination: str, words: list[str]) -> int:
    """Run the words as refnet-agent on the other machine and return its exit code; files are the ones over there."""
    command = remote_command(destination, words, terminal=os.isatty(0) and os.isatty(1))
    if find_binary("ssh") is None:
        raise AgentError("ssh is not on this machine", hint="apt-get install openssh-client")
    code = run_in_foreground(command, environment={}, passed_on=_PASSED_ON, directory=".", user=None, timeout=None)
    if code == _SSH_FAILED:
        raise AgentError(f"no way to {destination}", hint=f"does this work? {shlex.join(command[:-1])} true")
    return code


def remote_command(destination: str, words: list[str], *, terminal: bool) -> tuple[str, ...]:
    """Return the ssh command; raise UsageError for another address than ssh://."""
    parts = urlsplit(destination)
    if parts.scheme != "ssh" or not parts.hostname or parts.hostname.startswith("-"):
        raise UsageError(f"--on {destination}: expected ssh://user@host or ssh://host:port")
    where = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    port = ("-p", str(parts.port)) if parts.port else ()
    options = ("-t",) if terminal else ("-T",)
    return ("ssh", *options, *port, where, shlex.join(("refnet-agent", *words)))
