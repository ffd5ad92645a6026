"""The engines under the contract, and a bench that starts instances and always clears them away."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from agent.engine.base import Engine
from agent.engine.fake import FakeEngine, FakeRun
from agent.engine.keeper import processes
from agent.engine.process import ProcessEngine
from agent.engine.systemctl import Systemctl, find_systemctl
from agent.engine.systemd import SystemdEngine
from agent.model.home import Home
from agent.model.instance import Exit, Launch, ObservedInstance
from agent.render.systemd import UnitHost, render_unit

DEADLINE = 8.0
FOREVER = "exec sleep 300"


def until(condition: Callable[[], object], *, deadline: float = DEADLINE) -> None:
    """Wait until the condition holds, or fail."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        time.sleep(0.01)


class Bench:
    """One engine with a home of its own."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home

    def launch(
        self, script: str = FOREVER, *, lines: tuple[str, ...] = (), exit: Exit | None = None, **changes: object
    ) -> Launch:
        """Return a launch of a shell script; `lines` and `exit` say what it does to an engine that runs nothing."""
        launch = Launch(
            instance="web-1",
            service="web",
            command=("/bin/sh", "-c", script),
            directory="/",
            environment={"PATH": os.environ["PATH"]},
            log_path=str(self.home / "logs" / "web-1.log"),
            digest="one",
            stop_timeout=5.0,
        )
        launch = replace(launch, **changes)  # type: ignore[arg-type]
        if isinstance(self.engine, FakeEngine):
            self.engine.behaviours[launch.instance] = FakeRun(lines=lines, exit=exit)
        return launch

    def python(self, program: str, **changes: object) -> Launch:
        """Return a launch of a Python program."""
        return self.launch(command=(sys.executable, "-I", "-S", "-c", program), **changes)  # type: ignore[arg-type]

    def seen(self, instance: str = "web-1") -> ObservedInstance:
        """Return the instance as the engine sees it."""
        return next(seen for seen in self.engine.observe() if seen.instance == instance)

    def pid(self) -> int:
        """Return the main process, which has to be there."""
        pid = self.seen().pid
        assert pid is not None
        return pid

    def keeper_pid(self) -> int:
        """Return the keeper, which has to be there."""
        pid = self.seen().keeper_pid
        assert pid is not None
        return pid

    def texts(self) -> list[str]:
        """Return everything the instance said."""
        return [line.text for line in self.engine.logs("web-1", lines=None, since=None, follow=False)]

    def kill(self) -> None:
        """Kill the main process with signal 9."""
        if isinstance(self.engine, FakeEngine):
            self.engine.end("web-1", Exit(signal=9))
        else:
            os.kill(self.pid(), signal.SIGKILL)

    def kill_keeper(self) -> None:
        """Kill the keeper with signal 9 and wait until it is gone."""
        pid = self.keeper_pid()
        os.kill(pid, signal.SIGKILL)
        until(lambda: processes.start_ticks(pid) is None)

    def folder(self) -> Path:
        """Return the folder of the instance."""
        return self.home / "instances" / "web-1"


def _clear_away(engine: ProcessEngine) -> None:
    for seen in engine.observe():
        if seen.keeper_pid:
            os.kill(seen.keeper_pid, signal.SIGKILL)
        while processes.kill_all(processes.tagged(f"{seen.instance}@{engine.slug}")):
            time.sleep(0.01)
        engine.remove(seen.instance)


def systemd_engine(home: Path, systemctl: Systemctl | None = None) -> SystemdEngine:
    """Return an engine on the service manager of this machine."""
    found = systemctl or find_systemctl()
    assert isinstance(found, Systemctl)
    host = UnitHost(home=Home(root=home.resolve()), version=found.version, user_manager=found.user)
    return SystemdEngine(home, systemctl=found, render=partial(render_unit, host=host))


@pytest.fixture
def systemctl() -> Systemctl:
    """The service manager of this machine."""
    found = find_systemctl()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def _forget_units(engine: SystemdEngine) -> None:
    for seen in engine.observe():
        engine.remove(seen.instance)


@pytest.fixture(params=["process", "systemd", "fake"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A bench on each engine."""
    if request.param == "systemd":
        request.getfixturevalue("systemctl")
    engine = {"process": ProcessEngine, "systemd": systemd_engine, "fake": lambda home: FakeEngine()}[request.param](
        tmp_path
    )
    yield Bench(engine, tmp_path)
    if isinstance(engine, ProcessEngine):
        _clear_away(engine)
    if isinstance(engine, SystemdEngine):
        _forget_units(engine)


@pytest.fixture
def units(systemctl: Systemctl, tmp_path: Path) -> Iterator[Bench]:
    """A bench on the systemd engine."""
    engine = systemd_engine(tmp_path, systemctl)
    yield Bench(engine, tmp_path)
    _forget_units(engine)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Bench]:
    """A bench on the process engine."""
    engine = ProcessEngine(tmp_path)
    yield Bench(engine, tmp_path)
    _clear_away(engine)
