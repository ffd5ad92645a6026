"""The agent as an operator runs it: its command line with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.room import Room, end_processes

ROOT = Path(__file__).parent.parent
_INSTALLED = Path(sys.executable).with_name("refnet-agent")
_FROM_TREE = (sys.executable, "-c", "import sys; from agent.cli.main import main; sys.exit(main())")
PROGRAM = (str(_INSTALLED),) if _INSTALLED.exists() else _FROM_TREE

_DAEMON_SECONDS = 20.0


class Failed(Exception):
    """A program under test did not do what it should; its words are the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One home and one file."""

    home: Path
    file: Path

    def run(self, *words: str, codes: tuple[int, ...] = (0,), timeout: float = 180) -> str:
        """Run a verb and return what it printed; raise Failed for another exit code."""
        done = subprocess.run(
            (*PROGRAM, *words), capture_output=True, text=True, timeout=timeout, env=self._environment(), check=False
        )
        if done.returncode not in codes:
            raise Failed(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a verb in the background."""
        return subprocess.Popen(
            (*PROGRAM, *words), env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def apply(self, *words: str) -> float:
        """Apply the file and return the seconds it took."""
        began = time.monotonic()
        self.run("apply", "-f", str(self.file), "-y", *words)
        return time.monotonic() - began

    def time(self, *words: str, codes: tuple[int, ...] = (0,)) -> float:
        """Return the milliseconds a verb takes, the start of its interpreter included."""
        began = time.monotonic()
        self.run(*words, codes=codes)
        return (time.monotonic() - began) * 1000

    def pids(self) -> dict[str, int]:
        """Return the process of every running instance, by name."""
        # Right after a kill the verdict may be another one: the exit code does not matter here.
        services = json.loads(self.run("status", "--json", codes=(0, 2, 3)))["services"]
        return {each["name"]: each["pid"] for one in services for each in one["instances"] if each.get("pid")}

    def keepers(self) -> list[int]:
        """Return the keeper of every running instance: the parent of its process."""
        return [processes.parent(pid) for pid in self.pids().values()]

    def daemon(self) -> tuple[int, int]:
        """Return the daemon and its keeper, once it answers."""
        deadline = time.monotonic() + _DAEMON_SECONDS
        while time.monotonic() < deadline:
            found = json.loads(self.run("status", "--json", codes=(0, 2, 3)))["daemon"]
            if found is not None:
                return found["pid"], processes.parent(found["pid"])
            time.sleep(0.2)
        raise Failed(f"no daemon answers within {_DAEMON_SECONDS:g} s")

    def destroy(self) -> None:
        """Stop everything; a keeper that the verb left is ended by its id."""
        if not (self.home / "instances").is_dir():
            return
        try:
            self.run("destroy", "-y")
        except (Failed, subprocess.TimeoutExpired):
            end_processes(self._recorded())

    def _recorded(self) -> list[int]:
        found = []
        # The daemon's own is found too; it must go first, because it restarts what ends.
        for path in sorted(self.home.rglob("instances/*/record.json"), key=lambda path: "daemon" not in path.parts):
            record = json.loads(path.read_bytes())
            found += [record["keeper_pid"], record["pid"]]
        return [pid for pid in found if pid]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"REFNET_HOME": str(self.home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def agent(room: Room, text: str, *, name: str = "agent") -> Agent:
    """Return an agent with this file, destroyed when the room is left."""
    made = Agent(home=room.folder / name, file=room.folder / f"{name}.yaml")
    made.file.write_text(text)
    room.leaving.callback(made.destroy)
    return made


def sleepers(count: int) -> str:
    """Return a file of so many services that do nothing."""
    services = "".join(f"  sleeper-{number}: {{command: [sleep, infinity]}}\n" for number in range(1, count + 1))
    return f"name: bench\nengine: process\nservices:\n{services}"
