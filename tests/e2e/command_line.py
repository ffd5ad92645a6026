"""The real command line as a process, on pipes or on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.e2e.conftest import PROGRAM, ROOT, Agent

QUIET = "daemon: {enabled: false}\n"
STEADY = "  steady: {command: [sleep, '1000']}\n"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(agent: Agent, **more: str) -> dict[str, str]:
    """Return what the command line sees: its home, and nothing of the test runner's terminal."""
    clean = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES", "TERM"}}
    return clean | {"REFNET_HOME": str(agent.home), "PYTHONPATH": str(ROOT)} | more


def begin(agent: Agent, *words: str, **more: str) -> subprocess.Popen[str]:
    """Start a verb on pipes and return it while it runs."""
    return subprocess.Popen(
        (*PROGRAM, *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(agent, **more),
    )


def ended(process: subprocess.Popen[str], *, text: str | None = None, timeout: float = 60) -> tuple[int, str, str]:
    """Wait for its end and return exit code, output and error output."""
    output, error = process.communicate(text, timeout=timeout)
    return process.returncode, output, error


def until(holds: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait until something holds; fail when it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def json_of(agent: Agent, *words: str, code: int = 0) -> dict[str, Any]:
    """Run a verb that answers with one object, and nothing else on standard output."""
    got, output, error = ended(begin(agent, *words))
    assert got == code, output + error
    found = json.loads(output)
    assert isinstance(found, dict)
    return found


def tagged_processes(home: Path) -> set[int]:
    """Return every process started as an instance of this home, by its environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{home}/services/".encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
    return found


class Terminal:
    """A verb on a pseudo terminal of so many columns, which is its controlling one."""

    def __init__(self, agent: Agent, *words: str, columns: int = 80, lines: int = 24, **more: str) -> None:
        self.written = ""
        variables = environment(agent, **{"TERM": "xterm-256color", "LANG": "C.UTF-8", **more})
        self.pid, self._master = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child becomes the verb
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execve(PROGRAM[0], [*PROGRAM, *words], variables)

    def read(self, seconds: float) -> bool:
        """Take in what is written within so many seconds; whether the terminal is still open."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return True
        try:
            piece = os.read(self._master, 65536)
        except OSError:
            return False
        self.written += piece.decode(errors="replace")
        return bool(piece)

    def wait_for(self, text: str, *, seconds: float = 30) -> None:
        """Read until the text was written."""
        deadline = time.monotonic() + seconds
        while text not in self.written:
            assert self.read(0.1), f"it ended before {text!r}: {self.written}"
            assert time.monotonic() < deadline, f"no {text!r} in: {self.written}"

    def type(self, text: str) -> None:
        """Press these keys; `\\x03` is Ctrl-C."""
        os.write(self._master, text.encode())

    def end(self, *, seconds: float = 60) -> int:
        """Read to the end and return the exit code, 128 + N for signal N."""
        deadline = time.monotonic() + seconds
        while self.read(0.1):
            assert time.monotonic() < deadline, f"it does not end: {self.written}"
        _, status = os.waitpid(self.pid, 0)
        os.close(self._master)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    @property
    def shown(self) -> list[str]:
        """Return the lines without their escape sequences."""
        return [line.rstrip("\r") for line in _ESCAPE.sub("", self.written).replace("\r\n", "\n").split("\n")]


def interrupt(process: subprocess.Popen[str]) -> None:
    """Send what Ctrl-C sends."""
    process.send_signal(signal.SIGINT)


@contextlib.contextmanager
def running(agent: Agent, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Have a verb run during the body; it is gone afterwards."""
    process = begin(agent, *words, **more)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)
