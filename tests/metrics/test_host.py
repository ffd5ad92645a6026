"""The host's metrics are node_exporter's: names, labels, values."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.daemon.exposition import Scrape
from agent.operations.host_metrics import HostMetrics
from agent.system.filesystems import FileSystems, mounts

_UPSTREAM_FILTERS = (
    "--collector.netdev.device-exclude=^$",
    r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
    "--collector.filesystem.mount-points-exclude="
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
)
"""Debian patches the defaults; these are upstream's, which we copy."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    """Return every sample by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape() -> str:
    """Return one scrape of ours as text."""
    body, kind, _ = Scrape(HostMetrics().collect()).body(accept="", accept_encoding="")
    assert kind.startswith("text/plain; version=0.0.4")
    return body.decode()


@pytest.fixture(scope="module")
def exporter() -> Iterator[str]:
    """Debian's node_exporter beside us; its address."""
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        pytest.skip("prometheus-node-exporter is not installed: apt-get install prometheus-node-exporter")
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{trial.getsockname()[1]}"
    command = (program, f"--web.listen-address={address}", *_UPSTREAM_FILTERS)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def test_names_labels_and_values_are_node_exporters(exporter: str) -> None:
    """Each family we serve has the same series as Debian's 1.5, and values within 2 % or a moment's work."""
    before = parse(scrape())
    with urllib.request.urlopen(f"http://{exporter}/metrics", timeout=10) as answer:
        theirs = parse(answer.read().decode())
    after = parse(scrape())

    names = {name for name, _ in after if name.startswith("node_") and not name.startswith("node_scrape_")}
    assert len(names) > 150
    # Other tests mount and unmount meanwhile: what we saw both times must be there, what we never saw must not.
    series = {key for key in theirs if key[0] in names}
    stable = {key for key in before.keys() & after.keys() if key[0] in names}
    assert stable - series == set()
    assert series - (before.keys() | after.keys()) == set()
    wrong = {
        key: (before[key], theirs[key], after[key])
        for key in stable
        if not is_near(theirs[key], before[key], after[key], slack=slack_of(key[0]))
    }
    assert wrong == {}


def slack_of(name: str) -> float:
    """Return by how much a value may move in the moment between two scrapes of a busy machine."""
    if "bytes" in name:
        return 256 * 1024**2
    if name.endswith("seconds_total") or name == "node_time_seconds":
        return 3.0
    if name.startswith(("node_load", "node_procs", "node_nf", "node_sockstat", "node_disk_io_now")):
        return 200.0
    return 20_000.0 if name.endswith("_total") or "_vmstat_" in name or "_netstat_" in name else 2_000.0


def is_near(value: float, before: float, after: float, *, slack: float) -> bool:
    """Return whether it lies between our two looks, 2 % or the slack apart."""
    room = max(slack, 0.02 * abs(after))
    return min(before, after) - room <= value <= max(before, after) + room


def test_types_are_node_exporters(exporter: str) -> None:
    """A counter is a counter and a gauge a gauge, so that rate() means the same."""
    with urllib.request.urlopen(f"http://{exporter}/metrics", timeout=10) as answer:
        theirs = types(answer.read().decode())
    ours = types(scrape())

    assert {name: (kind, theirs.get(name)) for name, kind in ours.items() if theirs.get(name) != kind} == {}


def types(text: str) -> dict[str, str]:
    """Return the type of each family."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE))


def test_promtool_finds_nothing_but_what_node_exporters_names_cost(exporter: str) -> None:
    """`promtool check metrics` parses it; its only complaints are about spellings that are not ours to choose."""
    with urllib.request.urlopen(f"http://{exporter}/metrics", timeout=10) as answer:
        theirs = complaints(answer.read())

    assert complaints(scrape().encode()) - theirs == set()


def complaints(text: bytes) -> set[str]:
    """Return promtool's words, a line each."""
    done = subprocess.run(("promtool", "check", "metrics"), input=text, capture_output=True, timeout=30, check=False)
    assert done.returncode in {0, 3}, done.stderr
    return set(done.stderr.decode().splitlines())


def test_disk_use_is_what_df_says() -> None:
    """(size − free) / (size − free + avail), rounded up, is df's percentage."""
    found = parse(scrape())
    values = {name: value for (name, labels), value in found.items() if ("mountpoint", "/") in labels}
    used = values["node_filesystem_size_bytes"] - values["node_filesystem_free_bytes"]
    share = 100 * used / (used + values["node_filesystem_avail_bytes"])
    said = subprocess.run(("df", "--output=pcent", "/"), capture_output=True, text=True, timeout=10, check=True)

    assert abs(share - float(said.stdout.split()[1].rstrip("%"))) <= 1.0


def test_a_mount_that_hangs_is_reported_and_delays_nobody() -> None:
    """It costs its timeout once; all others answer, then and later, and it is asked again when it is back."""
    places = {mount.place for mount in mounts(Path("/proc/self/mounts").read_text())}
    first = sorted(places)[0]
    back = threading.Event()

    def space(place: str) -> os.statvfs_result:
        if place == first:
            back.wait(60)
        return os.statvfs(place)

    systems = FileSystems(space, timeout=0.3)
    errors = device_errors(systems)
    assert errors.pop(first) == 1.0
    assert set(errors.values()) <= {0.0}
    start = time.monotonic()
    assert device_errors(systems)[first] == 1.0
    assert time.monotonic() - start < 0.3

    back.set()
    time.sleep(0.2)
    assert device_errors(systems)[first] == 0.0


def device_errors(systems: FileSystems) -> dict[str, float]:
    """Return the error of each mount point."""
    families = {family.name: family for family in systems.collect()}
    return {values[2]: number for values, number in families["node_filesystem_device_error"].samples}


def test_a_collector_that_fails_costs_its_own_families_only() -> None:
    """A file in an unknown form is said, and the rest is served."""

    def broken() -> Iterator[object]:
        raise ValueError("a kernel from the future")

    body, _, _ = Scrape(HostMetrics(cpu=broken).collect()).body(accept="", accept_encoding="")  # type: ignore[arg-type]
    found = parse(body.decode())

    assert found["node_scrape_collector_success", frozenset({("collector", "cpu")})] == 0.0
    assert found["node_scrape_collector_success", frozenset({("collector", "meminfo")})] == 1.0
    assert ("node_memory_MemTotal_bytes", frozenset()) in found


def test_escaped_mount_points_are_read_as_they_are_called() -> None:
    """A space in a mount point is \\040 in /proc/self/mounts."""
    found = mounts("/dev/sdb1 /srv/my\\040disk ext4 ro,relatime 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n")

    assert [(mount.place, mount.is_read_only) for mount in found] == [("/srv/my disk", True)]
