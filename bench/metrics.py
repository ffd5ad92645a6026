"""What one scrape of the host costs: the daemon's page beside node_exporter, the same host in the same minute."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.agent import Failed, agent, sleepers
from bench.figures import Measure, Role, Sample
from bench.room import Room, free_offset

SECONDS = 120
_SERVICES = 12
_PORT = 9470
_PROGRAM = "prometheus-node-exporter"
_PAUSE_SECONDS = 1.1
"""Longer than the second for which the daemon gives the same answer again: each scrape is a real one."""


def measure(room: Room) -> Iterator[Measure]:
    """Scrape both in turn, uncompressed and over one connection as Prometheus does."""
    times = room.few(40, quick=3)
    offset = free_offset(_PORT, span=2)
    made = agent(room, f"port_offset: {offset}\n{sleepers(_SERVICES)}")
    made.apply()
    ours = _Page(_PORT + offset)
    daemon = made.daemon()[0]
    peers = []
    if program := shutil.which(_PROGRAM):
        port = _PORT + offset + 1
        exporter = subprocess.Popen(
            (program, f"--web.listen-address=127.0.0.1:{port}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        room.leaving.callback(exporter.wait, 10)
        room.leaving.callback(exporter.terminate)
        peers = [(_PROGRAM, exporter.pid, _Page(port))]
    subjects = [("refnet-agent, 12 services", daemon, ours), *peers]
    for _, _, page in subjects:
        page.scrape()
    took: dict[str, list[float]] = {name: [] for name, _, _ in subjects}
    spent = {name: -_cpu_seconds(pid) for name, pid, _ in subjects}
    for _ in range(times):
        time.sleep(_PAUSE_SECONDS)
        for name, _, page in subjects:
            took[name].append(page.scrape())
    for name, pid, _ in subjects:
        spent[name] += _cpu_seconds(pid)
    roles = (Role.OURS, Role.DEFAULT)
    samples = tuple(
        Sample(subject=name, role=role, values=tuple(took[name]))
        for (name, _, _), role in zip(subjects, roles, strict=False)
    )
    # The budget is 10 ms, or 1.3 times the peer where that is more.
    budget = max(10.0, 1.3 * samples[1].median) if peers else 10.0
    yield Measure(name="host metrics scrape", unit="ms", samples=samples, budget=budget)
    cost = tuple(
        Sample(subject=name, role=role, values=(1000 * spent[name] / times,))
        for (name, _, _), role in zip(subjects, roles, strict=False)
    )
    note = "ours includes the daemon's own work in the 1.1 s between two scrapes"
    yield Measure(name="processor time per scrape", unit="ms", samples=cost, note=note)


def _cpu_seconds(pid: int) -> float:
    """Return the time of all threads, those that have ended too; schedstat knows the main one only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Page:
    """One connection that stays open, as Prometheus keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._wait()

    def scrape(self) -> float:
        """Return the milliseconds until the whole page is here."""
        began = time.perf_counter()
        self._connection.request("GET", "/metrics")
        answer = self._connection.getresponse()
        text = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != http.client.OK or b"node_load1 " not in text:
            raise Failed(f"port {self._port} answered {answer.status} without the host's metrics")
        return took

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                self._connection.connect()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"nothing listens on port {self._port}") from error
                time.sleep(0.1)
            else:
                return
