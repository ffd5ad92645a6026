"""A Nomad development agent as the peer, where a nomad is on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.agent import Failed
from bench.room import Room, free_offset

_HTTP, _RPC, _SERF = 4646, 4647, 4648
_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Nomad:
    """One running development agent."""

    process: subprocess.Popen[bytes]
    address: str

    def time(self, *words: str) -> float:
        """Return the milliseconds a nomad command takes."""
        began = time.monotonic()
        self.run(*words)
        return (time.monotonic() - began) * 1000

    def run(self, *words: str) -> None:
        """Run a nomad command; `job plan` ends with 1 when there is something to do."""
        command = ("nomad", *words)
        environment = os.environ | {"NOMAD_ADDR": self.address}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
        if done.returncode not in (0, 1) or (done.returncode and "plan" not in words):
            raise Failed(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")

    def stop(self) -> None:
        """End the agent, and with it its tasks."""
        if self.process.poll() is not None:
            return
        subprocess.run(
            ("nomad", "job", "stop", "-purge", "bench"), env=os.environ | {"NOMAD_ADDR": self.address},
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def is_there() -> bool:
    """Return whether Nomad can be measured here."""
    return shutil.which("nomad") is not None


def version() -> str:
    """Return its version."""
    if not is_there():
        return "not on PATH"
    said = subprocess.run(("nomad", "version"), capture_output=True, text=True, timeout=20, check=True).stdout
    return said.splitlines()[0]


def nomad(room: Room) -> Nomad:
    """Start a development agent on free ports and return once it is ready for jobs."""
    offset = free_offset(_HTTP, _RPC, _SERF)
    folder = room.folder / "nomad"
    folder.mkdir()
    configuration = folder / "agent.hcl"
    configuration.write_text(
        f'bind_addr = "127.0.0.1"\nports {{\n  http = {_HTTP + offset}\n  rpc = {_RPC + offset}\n'
        f"  serf = {_SERF + offset}\n}}\n"
        # No search for the cloud it may be in: there is none, and asking takes seconds.
        'client {\n  options = {\n    "fingerprint.denylist" = "env_aws,env_azure,env_gce,env_digitalocean"\n  }\n}\n'
        'plugin "raw_exec" {\n  config {\n    enabled = true\n  }\n}\n'
    )
    with (folder / "said").open("wb") as said:
        command = ("nomad", "agent", "-dev", "-config", str(configuration))
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=folder)
    made = Nomad(process=process, address=f"http://127.0.0.1:{_HTTP + offset}")
    room.leaving.callback(made.stop)
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready(made):
        if time.monotonic() > deadline or process.poll() is not None:
            raise Failed(f"nomad did not start:\n{(folder / 'said').read_text()[-2000:]}")
        time.sleep(0.5)
    return made


def sleepers(folder: Path, count: int) -> Path:
    """Write a job of so many groups that do nothing."""
    groups = "".join(
        f'  group "sleeper-{number}" {{\n    task "sleep" {{\n      driver = "raw_exec"\n'
        '      config {\n        command = "/bin/sleep"\n        args = ["infinity"]\n      }\n'
        "      resources {\n        cpu = 20\n        memory = 10\n      }\n    }\n  }\n"
        for number in range(1, count + 1)
    )
    path = folder / f"sleepers-{count}.nomad.hcl"
    path.write_text(f'job "bench" {{\n{groups}}}\n')
    return path


def _is_ready(made: Nomad) -> bool:
    environment = os.environ | {"NOMAD_ADDR": made.address}
    done = subprocess.run(
        ("nomad", "node", "status"), capture_output=True, text=True, timeout=20, env=environment, check=False
    )
    return " ready" in done.stdout
