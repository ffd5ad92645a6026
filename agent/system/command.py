"""The only door to other programs: tuples in, a result out, always with a timeout."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import CommandFailed, CommandMissing, CommandTimedOut
from agent.model.instance import User
from agent.system.subtree import MARK, end_marked, new_mark

_running: set[subprocess.Popen[bytes]] = set()
_POSTGRES = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
SEARCH_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", *_POSTGRES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a command ended and what it said."""

    command: tuple[str, ...]
    code: int
    output: str
    error: str

    @property
    def said(self) -> str:
        """The last lines of everything it printed."""
        return "\n".join((self.output + self.error).strip().splitlines()[-20:])


def find_binary(name: str, *, first: tuple[str, ...] = ()) -> str | None:
    """Return the absolute path of a command, looking in `first` and then in the system's short path."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    return shutil.which(name, path=":".join((*first, *SEARCH_PATH)))


def run(
    command: tuple[str, ...],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | str | None = None,
    user: User | None = None,
    check: bool = True,
    words: str | None = None,
) -> Completed:
    """Run to the end and return the result; raise CommandMissing, or CommandFailed unless `check` is off.

    The timeout is in seconds and ends everything the command started. Without `environment` ours is passed on;
    `words` are what it reads on its standard input.
    """
    mark = new_mark()
    identity: dict[str, object] = {}
    if user is not None and os.geteuid() == 0:
        identity = {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}
    else:
        user = None
    readers, writers = zip(_pipe(user), _pipe(user), strict=True)
    try:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL if words is None else subprocess.PIPE,
            stdout=writers[0],
            stderr=writers[1],
            env={**(os.environ if environment is None else environment), MARK: mark},
            cwd=directory,
            start_new_session=True,
            **identity,
        )
    except OSError as error:
        for reader in readers:
            os.close(reader)
        if isinstance(error, FileNotFoundError):
            message = f"{command[0]} is not on this machine"
            raise CommandMissing(message, hint="see: refnet-agent doctor") from error
        raise CommandFailed(f"cannot run {command[0]}: {error.strerror}") from error
    finally:
        for writer in writers:
            os.close(writer)
    process.stdout, process.stderr = (os.fdopen(reader, "rb") for reader in readers)
    _running.add(process)
    try:
        return _finish(process, command, timeout=timeout, check=check, mark=mark, words=words)
    finally:
        _running.discard(process)


def end_running_commands() -> None:
    """End what other threads wait for: their sessions of their own do not see the operator's Ctrl-C."""
    for process in tuple(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _pipe(user: User | None) -> tuple[int, int]:
    """Return a pipe the command's user may open again by name: nginx logs to /dev/stdout."""
    reader, writer = os.pipe()
    if user is not None:
        os.fchown(writer, user.uid, user.gid)
    return reader, writer


def _finish(
    process: subprocess.Popen[bytes],
    command: tuple[str, ...],
    *,
    timeout: float,
    check: bool,
    mark: str,
    words: str | None,
) -> Completed:
    try:
        output, error = process.communicate(None if words is None else words.encode(), timeout=timeout)
    except BaseException as problem:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # What hid in a session of its own holds our pipe: without this we would wait for it for ever.
        end_marked(mark)
        output, error = process.communicate()
        if not isinstance(problem, subprocess.TimeoutExpired):
            raise
        text = (output + error).decode(errors="replace").strip()
        message = f"{shlex.join(command)} took longer than {timeout:g} s\n{text}".rstrip()
        raise CommandTimedOut(message, said=text) from None
    completed = Completed(
        command=command,
        code=process.returncode,
        output=output.decode(errors="replace"),
        error=error.decode(errors="replace"),
    )
    if check and completed.code != 0:
        raise CommandFailed(f"{shlex.join(command)} {_ended(completed.code)}\n{completed.said}".rstrip())
    return completed


def _ended(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
