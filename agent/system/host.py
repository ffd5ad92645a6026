"""What the kernel says of this host, as metric families under node_exporter's names, labels and filters.

psutil where its numbers are the same; /proc where they are not: psutil counts reclaimable slabs as cached memory, and
has no pressure, no discards and no time-weighted disk time. Every function reads once and keeps nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")
_NET = Path("/sys/class/net")
_SECTOR = 512
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SKIPPED_DISKS = re.compile(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$")
_VMSTAT = re.compile(r"^(oom_kill|pgpg|pswp|pg.*fault)")
_NETSTAT = re.compile(
    r"^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
)
_DISK_FIELDS: tuple[tuple[str, float], ...] = (
    ("reads_completed_total", 1),
    ("reads_merged_total", 1),
    ("read_bytes_total", _SECTOR),
    ("read_time_seconds_total", 0.001),
    ("writes_completed_total", 1),
    ("writes_merged_total", 1),
    ("written_bytes_total", _SECTOR),
    ("write_time_seconds_total", 0.001),
    ("io_now", 1),
    ("io_time_seconds_total", 0.001),
    ("io_time_weighted_seconds_total", 0.001),
    ("discards_completed_total", 1),
    ("discards_merged_total", 1),
    ("discarded_sectors_total", 1),
    ("discard_time_seconds_total", 0.001),
    ("flush_requests_total", 1),
    ("flush_requests_time_seconds_total", 0.001),
)
_RECEIVED = ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
_SENT = ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")
_OS_LABELS = (
    *("build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id"),
    *("version", "version_codename", "version_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric with its samples: (label values, value), the labels in the order of `labels`.

    `kind` is counter, gauge or untyped; the name of a counter ends with `_total`.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    samples: tuple[tuple[tuple[str, ...], float], ...]


def gauge(name: str, words: str, value: float) -> Family:
    """Return a gauge with one sample and no label."""
    return Family(name=name, kind="gauge", help=words, samples=(((), value),))


def counter(name: str, words: str, value: float) -> Family:
    """Return a counter with one sample and no label."""
    return Family(name=name, kind="counter", help=words, samples=(((), value),))


def cpu() -> Iterator[Family]:
    """Yield seconds of each processor in each mode."""
    modes = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    times = psutil.cpu_times(percpu=True)
    used = [((str(i), mode), getattr(each, mode)) for i, each in enumerate(times) for mode in modes]
    lent = [
        ((str(i), mode), value)
        for i, each in enumerate(times)
        for mode, value in (("user", each.guest), ("nice", each.guest_nice))
    ]
    labels = ("cpu", "mode")
    words = "Seconds the CPUs spent in each mode."
    yield Family(name="node_cpu_seconds_total", kind="counter", help=words, labels=labels, samples=tuple(used))
    words = "Seconds the CPUs spent in guests (VMs) for each mode."
    yield Family(name="node_cpu_guest_seconds_total", kind="counter", help=words, labels=labels, samples=tuple(lent))


def stat() -> Iterator[Family]:
    """Yield what /proc/stat counts besides processor time."""
    found = _words(_PROC / "stat")
    yield gauge("node_boot_time_seconds", "Node boot time, in unixtime.", psutil.boot_time())
    yield counter("node_context_switches_total", "Total number of context switches.", float(found["ctxt"][0]))
    yield counter("node_intr_total", "Total number of interrupts serviced.", float(found["intr"][0]))
    yield counter("node_forks_total", "Total number of forks.", float(found["processes"][0]))
    yield gauge("node_procs_running", "Number of processes in runnable state.", float(found["procs_running"][0]))
    yield gauge("node_procs_blocked", "Number of processes blocked for I/O.", float(found["procs_blocked"][0]))


def loadavg() -> Iterator[Family]:
    """Yield the load averages."""
    for minutes, value in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        yield gauge(f"node_load{minutes}", f"{minutes}m load average.", value)


def meminfo() -> Iterator[Family]:
    """Yield every field of /proc/meminfo, in bytes."""
    for line in (_PROC / "meminfo").read_text().splitlines():
        key, _, rest = line.partition(":")
        name = key.replace("(", "_").replace(")", "")
        number, _, unit = rest.strip().partition(" ")
        if unit == "kB":
            yield gauge(f"node_memory_{name}_bytes", f"Memory information field {name}_bytes.", float(number) * 1024)
        else:
            yield gauge(f"node_memory_{name}", f"Memory information field {name}.", float(number))


def vmstat() -> Iterator[Family]:
    """Yield paging, swapping and out-of-memory kills."""
    for key, (value, *_) in _words(_PROC / "vmstat").items():
        if _VMSTAT.match(key):
            yield _untyped(f"node_vmstat_{key}", f"/proc/vmstat information field {key}.", float(value))


def filefd() -> Iterator[Family]:
    """Yield how many files are open on the host, and how many may be."""
    allocated, _, most = (_PROC / "sys/fs/file-nr").read_text().split()
    yield gauge("node_filefd_allocated", "File descriptor statistics: allocated.", float(allocated))
    yield gauge("node_filefd_maximum", "File descriptor statistics: maximum.", float(most))


def entropy() -> Iterator[Family]:
    """Yield how much entropy there is."""
    folder = _PROC / "sys/kernel/random"
    yield gauge("node_entropy_available_bits", "Bits of available entropy.", _number(folder / "entropy_avail"))
    yield gauge("node_entropy_pool_size_bits", "Bits of entropy pool.", _number(folder / "poolsize"))


def diskstats() -> Iterator[Family]:
    """Yield reads, writes, discards, flushes and busy time of each whole disk."""
    rows = []
    for line in (_PROC / "diskstats").read_text().splitlines():
        _, _, device, *numbers = line.split()
        if not _SKIPPED_DISKS.match(device):
            rows.append((device, numbers))
    for position, (name, unit) in enumerate(_DISK_FIELDS):
        # An older kernel has fewer fields.
        told = [(device, numbers[position]) for device, numbers in rows if position < len(numbers)]
        samples = tuple(((device,), int(number) * unit) for device, number in told)
        if samples:
            kind = "counter" if name.endswith("_total") else "gauge"
            words = f"Disk statistics: {name.removesuffix('_total').replace('_', ' ')}."
            yield Family(name=f"node_disk_{name}", kind=kind, help=words, labels=("device",), samples=samples)


def netdev() -> Iterator[Family]:
    """Yield what each network device received and sent."""
    rows = {}
    for line in (_PROC / "net/dev").read_text().splitlines()[2:]:
        device, _, numbers = line.rpartition(":")
        rows[device.strip()] = [float(number) for number in numbers.split()]
    directions = (("receive", _RECEIVED, 0), ("transmit", _SENT, len(_RECEIVED)))
    for direction, fields, first in directions:
        for position, field in enumerate(fields, first):
            yield Family(
                name=f"node_network_{direction}_{field}_total",
                kind="counter",
                help=f"Network device statistic {direction}_{field}.",
                labels=("device",),
                samples=tuple(((device,), numbers[position]) for device, numbers in rows.items()),
            )


def netclass() -> Iterator[Family]:
    """Yield state, speed and size of each network device; what a device does not know is left out."""
    devices = sorted(path.name for path in _NET.iterdir() if path.is_dir())
    states = {device: _text(_NET / device / "operstate") for device in devices}
    up = tuple(((device,), float(state == "up")) for device, state in states.items())
    words = "Value is 1 if operstate is 'up', 0 otherwise."
    yield Family(name="node_network_up", kind="gauge", help=words, labels=("device",), samples=up)
    labels = ("device", "address", "broadcast", "duplex", "operstate", "ifalias")
    known = []
    for device, state in states.items():
        texts = {name: _text(_NET / device / name) for name in ("address", "broadcast", "duplex", "ifalias")}
        known.append(((device, texts["address"], texts["broadcast"], texts["duplex"], state, texts["ifalias"]), 1.0))
    words = "Non-numeric data of each network device, value is always 1."
    yield Family(name="node_network_info", kind="gauge", help=words, labels=labels, samples=tuple(known))
    fields = (
        ("mtu_bytes", "mtu", 1.0, "gauge"),
        ("speed_bytes", "speed", 1e6 / 8, "gauge"),
        ("carrier", "carrier", 1.0, "gauge"),
        ("carrier_changes_total", "carrier_changes", 1.0, "counter"),
        ("transmit_queue_length", "tx_queue_len", 1.0, "gauge"),
    )
    for name, file, unit, kind in fields:
        samples = []
        for device in devices:
            text = _text(_NET / device / file)
            # Virtual devices say a speed of -1.
            if text.lstrip("-").isdigit() and (int(text) >= 0 or file != "speed"):
                samples.append(((device,), int(text) * unit))
        words = f"Network device property: {file}."
        if samples:
            yield Family(name=f"node_network_{name}", kind=kind, help=words, labels=("device",), samples=tuple(samples))


def netstat() -> Iterator[Family]:
    """Yield the kernel's network counters that matter for one host."""
    for file in ("netstat", "snmp"):
        lines = (_PROC / "net" / file).read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            protocol, *keys = names.replace(":", " ", 1).split()
            for key, value in zip(keys, values.partition(":")[2].split(), strict=True):
                yield from _netstat(f"{protocol}_{key}", value)
    for key, (value, *_) in _words(_PROC / "net/snmp6").items():
        protocol, _, name = key.partition("6")
        yield from _netstat(f"{protocol}6_{name}", value)


def _netstat(key: str, value: str) -> Iterator[Family]:
    if _NETSTAT.match(key):
        yield _untyped(f"node_netstat_{key}", f"Statistic {key}.", float(value))


def sockstat() -> Iterator[Family]:
    """Yield how many sockets there are, and their memory."""
    for file in ("sockstat", "sockstat6"):
        for protocol, words in _words(_PROC / "net" / file).items():
            name = protocol.rstrip(":")
            for key, value in zip(words[::2], words[1::2], strict=True):
                yield gauge(f"node_sockstat_{name}_{key}", f"Number of {name} sockets in state {key}.", float(value))
                if key == "mem":
                    text = f"Memory of {name} sockets."
                    yield gauge(f"node_sockstat_{name}_mem_bytes", text, float(value) * _PAGE)


def softnet() -> Iterator[Family]:
    """Yield packets each processor took, dropped, or ran out of time for."""
    rows = [line.split() for line in (_PROC / "net/softnet_stat").read_text().splitlines()]
    for position, name in enumerate(("processed", "dropped", "times_squeezed")):
        samples = tuple(((str(number),), float(int(row[position], 16))) for number, row in enumerate(rows))
        words = f"Number of packets or polls {name.replace('_', ' ')}."
        yield Family(name=f"node_softnet_{name}_total", kind="counter", help=words, labels=("cpu",), samples=samples)


def conntrack() -> Iterator[Family]:
    """Yield how full the table of tracked connections is; nothing where the kernel tracks none."""
    folder = _PROC / "sys/net/netfilter"
    if not (folder / "nf_conntrack_count").exists():
        return
    words = "Number of currently allocated flow entries for connection tracking."
    yield gauge("node_nf_conntrack_entries", words, _number(folder / "nf_conntrack_count"))
    words = "Maximum size of connection tracking table."
    yield gauge("node_nf_conntrack_entries_limit", words, _number(folder / "nf_conntrack_max"))


def pressure() -> Iterator[Family]:
    """Yield how long work waited for processor, memory or disk; nothing where the kernel does not count it."""
    fields = (
        ("cpu", "some", "waiting"),
        ("io", "some", "waiting"),
        ("io", "full", "stalled"),
        ("memory", "some", "waiting"),
        ("memory", "full", "stalled"),
        ("irq", "full", "stalled"),
    )
    for resource, line, name in fields:
        path = _PROC / "pressure" / resource
        if not path.exists():
            continue
        for words in path.read_text().splitlines():
            if words.startswith(f"{line} "):
                text = f"Total time in seconds that processes were {name} for {resource}."
                microseconds = float(words.rpartition("total=")[2])
                yield counter(f"node_pressure_{resource}_{name}_seconds_total", text, microseconds / 1e6)


def uname() -> Iterator[Family]:
    """Yield the kernel and the host's name: dashboards find the host by it."""
    found = os.uname()
    domain = _text(_PROC / "sys/kernel/domainname")
    labels = ("sysname", "release", "version", "machine", "nodename", "domainname")
    values = (found.sysname, found.release, found.version, found.machine, found.nodename, domain)
    words = "Labeled system information as provided by the uname system call."
    yield Family(name="node_uname_info", kind="gauge", help=words, labels=labels, samples=((values, 1.0),))


def os_release() -> Iterator[Family]:
    """Yield the distribution and its version."""
    fields: dict[str, str] = {}
    for line in _text(Path("/etc/os-release")).splitlines():
        key, _, value = line.partition("=")
        fields[key.lower()] = value.strip("\"'")
    values = tuple(fields.get(label, "") for label in _OS_LABELS)
    words = "Distribution, as /etc/os-release names it; value is always 1."
    yield Family(name="node_os_info", kind="gauge", help=words, labels=_OS_LABELS, samples=((values, 1.0),))
    if version := re.match(r"\d+(\.\d+)?", fields.get("version_id", "")):
        labels = ("id", "id_like", "name")
        samples = ((tuple(fields.get(label, "") for label in labels), float(version[0])),)
        words = "Metric containing the major.minor part of the OS version."
        yield Family(name="node_os_version", kind="gauge", help=words, labels=labels, samples=samples)


def clock() -> Iterator[Family]:
    """Yield the time of day."""
    yield gauge("node_time_seconds", "System time in seconds since epoch (1970).", time.time())


def _untyped(name: str, words: str, value: float) -> Family:
    return Family(name=name, kind="untyped", help=words, samples=(((), value),))


def _words(path: Path) -> Mapping[str, list[str]]:
    """Return each line's words after the first, by the first."""
    found = {}
    for line in path.read_text().splitlines():
        key, *rest = line.split()
        found[key] = rest
    return found


def _text(path: Path) -> str:
    """Return a small file's text, empty when it is not there or the device does not tell."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> float:
    return float(path.read_text())
