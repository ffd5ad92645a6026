"""Real programs in a folder of their own, whose real words the catalogue's signatures must explain."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.config.read import read_settings
from agent.core.diagnosis import diagnose
from agent.model.diagnosis import Evidence
from agent.model.settings import Settings
from agent.system.accounts import find_user
from agent.system.assets import catalogue
from agent.system.command import find_binary
from tests.e2e.conftest import ROOT

SETTINGS: Settings = read_settings(ROOT / "examples/refnet/refnet.yaml", catalogue=catalogue()).settings


def causes_of(service: str, *lines: str, **failing: str) -> str:
    """Return the causes the catalogue finds in a program's words; `failing` are other services with their symptoms."""
    others = {name: Evidence(service=name, symptom=symptom) for name, symptom in failing.items()}
    own = Evidence(service=service, symptom="is critical", lines=lines, signatures=SETTINGS.services[service].diagnose)
    found = diagnose(service, {service: own, **others})
    return "\n".join(f"{cause.subject}: {cause.what}" for cause in found.causes if "no signature" not in cause.what)


@dataclass(kw_only=True)
class Bench:
    """A folder, a user that is not root, and the processes started here."""

    folder: Path
    user: str
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def identity(self) -> dict[str, object]:
        """Return how to become the user."""
        user = find_user(self.user)
        if os.geteuid() != 0 or user is None:
            return {}
        return {"user": user.uid, "group": user.gid, "extra_groups": []}

    def own(self, path: Path) -> Path:
        """Give the path to the user."""
        if os.geteuid() == 0:
            subprocess.run(("chown", "-R", self.user, str(path)), check=True)
        return path

    def say(self, *words: str, seconds: float = 15, **environment: str) -> tuple[str, ...]:
        """Run a program until it ends by itself, or for so long, and return its lines."""
        process = self.start(*words, **environment)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return self.stop(process)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a program whose words go to a file."""
        program = find_binary(words[0]) or words[0]
        log = self.folder / f"log-{len(self.running)}"
        with log.open("w") as stream:
            process = subprocess.Popen(  # type: ignore[call-overload]
                (program, *words[1:]),
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.folder), **environment},
                **self.identity(),
            )
        process.log = log
        self.running.append(process)
        return process  # type: ignore[no-any-return]

    def stop(self, process: subprocess.Popen[str]) -> tuple[str, ...]:
        """End it if it runs and return what it said."""
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait(10)
        return self.lines(process)

    def lines(self, process: subprocess.Popen[str]) -> tuple[str, ...]:
        """Return what it said so far."""
        text: str = process.log.read_text(errors="replace")  # type: ignore[attr-defined]
        return tuple(text.splitlines())

    def until(self, true: Callable[[], bool], *, seconds: float = 15) -> None:
        """Wait until it is true."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as trial:
        trial.settimeout(1)
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A bench for the user named by the test's module (USER)."""
    for each in (tmp_path, *list(tmp_path.parents)[:2]):
        each.chmod(0o711)
    made = Bench(folder=tmp_path, user=getattr(request.module, "USER", "nobody"))
    made.own(tmp_path)
    yield made
    for process in reversed(made.running):
        made.stop(process)
