"""Run a program in our place for a while: it has our terminal or pipes, and gets the signals we get."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from agent.errors import CommandFailed, CommandMissing
from agent.model.instance import User

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_GRACE_SECONDS = 5.0


def run_in_foreground(
    command: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    passed_on: tuple[str, ...],
    directory: str,
    user: User | None,
    timeout: float | None,
) -> int:
    """Run to the end and return the exit code, 128 + N for signal N; nothing is buffered or captured.

    `passed_on` names variables taken over from us. On a terminal the program shares our process group, so that the
    terminal itself sends it Ctrl-C and Ctrl-Z; elsewhere it leads a group of its own, and we forward.
    """
    shares_terminal = os.isatty(0)
    ours = {name: os.environ[name] for name in passed_on if name in os.environ}
    identity: dict[str, object] = {}
    if user is not None and os.geteuid() == 0:
        identity = {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}
    try:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command,
            env={**ours, **environment},
            cwd=directory,
            process_group=None if shares_terminal else 0,
            **identity,
        )
    except FileNotFoundError as error:
        raise CommandMissing(f"{command[0]} is not on this machine", hint="see: refnet-agent doctor") from error
    except OSError as error:
        raise CommandFailed(f"cannot run {command[0]}: {error.strerror}") from error

    def forward(number: int) -> None:
        if shares_terminal and number in {signal.SIGINT, signal.SIGQUIT}:
            return  # the terminal has told it already
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number) if shares_terminal else os.killpg(process.pid, number)

    with _forwarding(forward):
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            forward(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            forward(signal.SIGKILL)
            process.wait()
            raise CommandFailed(f"{shlex.join(command)} took longer than {timeout:g} s") from None
    return int(code) if code >= 0 else 128 - int(code)


@contextlib.contextmanager
def _forwarding(forward: Callable[[int], None]) -> Iterator[None]:
    def take(number: int, frame: FrameType | None) -> None:
        forward(number)

    before = {number: signal.signal(number, take) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
