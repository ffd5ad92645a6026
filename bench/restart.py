"""How long a service is away after `kill -9`: until its next start, and until it answers again."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import supervisord as peer
from bench.agent import Failed, agent
from bench.figures import Judged, Measure, Role, Sample
from bench.room import Room, end_processes, free_offset

SECONDS = 180
_BASE = 9100
_TINY = Path(__file__).parent / "services" / "tiny.sh"
_PYTHON = "/usr/bin/python3"
_PATIENCE = 10.0
_PHASE = 0.3
_SETTLE = 1.5
"""supervisord's default calls a program running after one second; a kill before that is another story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Milliseconds from the kill to the next start, and to the first answer."""

    start: float
    answer: float


class Births:
    """The pipe on which every service says its process id and port as its first act."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._received = b""

    def next(self) -> tuple[int, int, float]:
        """Return process id, port and moment of the next start."""
        while b"\n" not in self._received:
            if not select.select([self._pipe], [], [], _PATIENCE)[0]:
                raise Failed(f"no start within {_PATIENCE:g} s")
            self._received += os.read(self._pipe, 4096)
        now = time.monotonic()
        line, _, self._received = self._received.partition(b"\n")
        pid, port = line.split()
        return int(pid), int(port), now


def measure(room: Room) -> Iterator[Measure]:
    """Kill each of many instances once under every subject; then ours again at once, which backs off by policy."""
    kills = room.few(20, quick=3)
    outages = {"refnet-agent, default": (Role.OURS, _ours(room, kills))}
    if peer.is_there():
        default = _theirs(room, kills, name="default", options="")
        outages["supervisord, default"] = (Role.DEFAULT, default)
        fastest = _theirs(room, kills, name="fastest", options=peer.FASTEST)
        outages["supervisord, startsecs=0"] = (Role.FASTEST, fastest)
    outages["shell loop"] = (Role.FLOOR, _shell_loop(room, kills))
    starts, answers = [], []
    for subject, (role, found) in outages.items():
        starts.append(Sample(subject=subject, role=role, values=tuple(each.start for each in found)))
        answers.append(Sample(subject=subject, role=role, values=tuple(each.answer for each in found)))
    note = "the service's first act is to say so on a pipe; kills fall at random moments"
    yield Measure(
        name="kill -9 → next start", unit="ms", samples=tuple(starts), budget=20, judged=Judged.P95, note=note
    )
    note = "a small python web server answers; its own start is in every figure"
    yield Measure(name="kill -9 → healthy", unit="ms", samples=tuple(answers), note=note)


def _command(births: Births, port: str) -> str:
    return f"sh {_TINY} {births.path} {port} {_PYTHON}"


def _ours(room: Room, kills: int) -> list[Outage]:
    births = Births(room.folder / "births-ours")
    offset = free_offset(_BASE, span=kills)
    words = ", ".join(_command(births, '"${PORT}"').split())
    text = (
        f"name: bench\nengine: process\nport_offset: {offset}\nservices:\n"
        f"  web: {{command: [{words}], ports: {{http: {_BASE}}}, replicas: {kills}}}\n"
    )
    made = agent(room, text)
    made.apply()
    found = _kill_each(births, kills)
    made.destroy()
    return found


def _theirs(room: Room, kills: int, *, name: str, options: str) -> list[Outage]:
    births = Births(room.folder / f"births-{name}")
    offset = free_offset(_BASE, span=kills)
    programs = "".join(
        f"[program:web-{number}]\ncommand={_command(births, str(_BASE + offset + number))}\n{options}"
        for number in range(kills)
    )
    running = peer.supervisord(room, programs, name=f"supervisord-{name}", count=kills)
    found = _kill_each(births, kills)
    running.stop()
    return found


def _kill_each(births: Births, kills: int) -> list[Outage]:
    alive = {port: pid for pid, port, _ in (births.next() for _ in range(kills))}
    for port, pid in alive.items():
        _until_answer(port, other_than=0, expected=pid)
    time.sleep(_SETTLE)
    return [_kill(births, pid, port) for port, pid in alive.items()]


def _shell_loop(room: Room, kills: int) -> list[Outage]:
    births = Births(room.folder / "births-loop")
    command = _command(births, str(_BASE + free_offset(_BASE)))
    loop = subprocess.Popen(("sh", "-c", f"while :; do {command}; done"), stderr=subprocess.DEVNULL)
    found: list[Outage] = []
    pid, port, _ = births.next()
    try:
        for _ in range(kills):
            _until_answer(port, other_than=0, expected=pid)
            outage, pid = _kill_and_see(births, pid, port)
            found.append(outage)
    finally:
        loop.kill()
        loop.wait()
        end_processes([pid])
    return found


def _kill(births: Births, pid: int, port: int) -> Outage:
    return _kill_and_see(births, pid, port)[0]


def _kill_and_see(births: Births, pid: int, port: int) -> tuple[Outage, int]:
    # A loop that wakes up once a second would look the same at every kill without this.
    time.sleep(random.random() * _PHASE)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    born, _, started = births.next()
    answered = _until_answer(port, other_than=pid, expected=born)
    return Outage(start=(started - killed) * 1000, answer=(answered - killed) * 1000), born


def _until_answer(port: int, *, other_than: int, expected: int) -> float:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                answer = connection.recv(4096)
        except OSError:
            answer = b""
        pid = answer.rpartition(b"\n")[2]
        if pid and int(pid) != other_than and int(pid) == expected:
            return time.monotonic()
        time.sleep(0.0005)
    raise Failed(f"nothing answers on port {port} within {_PATIENCE:g} s")
