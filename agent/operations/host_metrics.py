"""Collect the host's metrics: each collector apart, so that one that fails costs its own families only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from agent.system import host
from agent.system.filesystems import FileSystems
from agent.system.host import Family

Collector = Callable[[], Iterable[Family]]


class HostMetrics:
    """The host's collectors by node_exporter's names for them."""

    def __init__(self, **more: Collector) -> None:
        self._collectors: dict[str, Collector] = {
            "conntrack": host.conntrack,
            "cpu": host.cpu,
            "diskstats": host.diskstats,
            "entropy": host.entropy,
            "filefd": host.filefd,
            "filesystem": FileSystems().collect,
            "loadavg": host.loadavg,
            "meminfo": host.meminfo,
            "netclass": host.netclass,
            "netdev": host.netdev,
            "netstat": host.netstat,
            "os": host.os_release,
            "pressure": host.pressure,
            "sockstat": host.sockstat,
            "softnet": host.softnet,
            "stat": host.stat,
            "time": host.clock,
            "uname": host.uname,
            "vmstat": host.vmstat,
            **more,
        }

    def collect(self) -> Iterator[Family]:
        """Yield every family, then how long each collector took and whether it worked."""
        seconds: list[tuple[tuple[str, ...], float]] = []
        success: list[tuple[tuple[str, ...], float]] = []
        for name, collector in self._collectors.items():
            start = time.perf_counter()
            try:
                families = tuple(collector())
            except (OSError, ValueError, KeyError, IndexError):
                # A kernel without this file, or with another form of it.
                families = ()
                success.append(((name,), 0.0))
            else:
                success.append(((name,), 1.0))
            seconds.append(((name,), time.perf_counter() - start))
            yield from families
        yield Family(
            name="node_scrape_collector_duration_seconds",
            kind="gauge",
            help="Duration of a collector scrape.",
            labels=("collector",),
            samples=tuple(seconds),
        )
        yield Family(
            name="node_scrape_collector_success",
            kind="gauge",
            help="Whether a collector succeeded.",
            labels=("collector",),
            samples=tuple(success),
        )
