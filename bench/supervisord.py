"""supervisord as the peer: the same programs, at its defaults and at its fastest setting."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.agent import Failed
from bench.room import Room, end_processes

FASTEST = "startsecs=0\nautorestart=true\n"
"""A program counts as started at once, so its end is answered without a look at how long it ran."""
_START_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisord:
    """One running supervisord."""

    process: subprocess.Popen[bytes]
    configuration: Path

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def control(self, *words: str) -> float:
        """Return the milliseconds a supervisorctl command takes."""
        began = time.monotonic()
        command = ("supervisorctl", "-c", str(self.configuration), *words)
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=30, check=True)
        return (time.monotonic() - began) * 1000

    def stop(self) -> None:
        """End it and its programs."""
        programs = processes.children(self.pid) if self.process.poll() is None else []
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        end_processes([pid for pid in programs if Path(f"/proc/{pid}").exists() and processes.parent(pid) == 1])


def is_there() -> bool:
    """Return whether supervisord can be measured here."""
    return shutil.which("supervisord") is not None and shutil.which("supervisorctl") is not None


def version() -> str:
    """Return its version."""
    if not is_there():
        return "not on PATH"
    return subprocess.run(("supervisord", "-v"), capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def supervisord(room: Room, programs: str, *, name: str, count: int) -> Supervisord:
    """Start it with these `[program:…]` sections and return once all `count` processes run."""
    folder = room.folder / name
    folder.mkdir()
    configuration = folder / "supervisord.conf"
    configuration.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\nchildlogdir={folder}\n"
        f"[unix_http_server]\nfile={folder}/socket\n[supervisorctl]\nserverurl=unix://{folder}/socket\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n" + programs
    )
    command = ("supervisord", "-c", str(configuration))
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    made = Supervisord(process=process, configuration=configuration)
    room.leaving.callback(made.stop)
    deadline = time.monotonic() + _START_SECONDS
    while len(processes.children(process.pid)) < count or not (folder / "socket").exists():
        if time.monotonic() > deadline or process.poll() is not None:
            raise Failed(f"supervisord did not start {count} programs:\n{(folder / 'said').read_text()}")
        time.sleep(0.1)
    return made


def sleepers(count: int) -> str:
    """Return so many programs that do nothing."""
    return "".join(f"[program:sleeper-{number}]\ncommand=sleep infinity\n" for number in range(1, count + 1))
