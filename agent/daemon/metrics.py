"""What one scrape says: the host, the services as the daemon knows them, and the daemon itself."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from agent.errors import AgentError
from agent.model.check import Status
from agent.operations.held import held_services
from agent.operations.host_metrics import HostMetrics
from agent.system.host import Family, counter, gauge

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon

_SEVERITY = {Status.PASSING: 0.0, Status.WARNING: 1.0, Status.CRITICAL: 2.0}
_CYCLE_EDGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
Source = Callable[[], Iterable[Family]]


class Counters:
    """What the daemon counts of itself since it started."""

    def __init__(self) -> None:
        self.cycles = 0
        self.cycle_seconds = 0.0
        self.within: dict[float, int] = dict.fromkeys(_CYCLE_EDGES, 0)
        self.events: Counter[str] = Counter()

    def count_cycle(self, seconds: float) -> None:
        """Count one turn of the loop that took so long."""
        self.cycles += 1
        self.cycle_seconds += seconds
        for edge in _CYCLE_EDGES:
            self.within[edge] += seconds <= edge

    def count_event(self, kind: str) -> None:
        """Count one event."""
        self.events[kind] += 1


class Metrics:
    """Collects the families of one scrape; `sources` are further ones that may read files or the database."""

    def __init__(self, daemon: Daemon, *sources: Source) -> None:
        self._daemon = daemon
        self._sources = sources
        self._host = HostMetrics()
        # A thread of its own: a scrape waits for no check that hangs.
        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")

    def known(self) -> tuple[Family, ...]:
        """Return what is in the daemon's memory; to be called on its loop."""
        return (*self._services(), *self._checks(), *self._itself())

    def read(self) -> Iterator[Family]:
        """Yield what must be read from the kernel or from disk; to be called in a thread."""
        yield from self._host.collect()
        for source in self._sources:
            # A database that cannot be read costs what is in it, not the scrape.
            with contextlib.suppress(AgentError, OSError):
                yield from source()

    def _services(self) -> Iterator[Family]:
        daemon = self._daemon
        held = held_services(daemon.stack.home)
        services = [each for each in daemon.stack.desired.services if not each.service.is_oneshot]
        critical = {
            daemon.watch.watched[key].instance
            for key, state in daemon.watch.states.items()
            if state.status is Status.CRITICAL and key in daemon.watch.watched
        }
        up, desired, restarts = [], [], []
        for each in services:
            label = (each.name,)
            live = daemon.live(each.name)
            up.append((label, float(sum(seen.ready and seen.instance not in critical for seen in live))))
            desired.append((label, 0.0 if each.name in held else float(len(each.launches))))
            seen_all = [seen for seen in daemon.observed if seen.service == each.name]
            restarts.append((label, float(sum(seen.restarts for seen in seen_all))))
        memory = [
            ((seen.service, seen.instance), float(seen.memory_bytes))
            for seen in daemon.observed
            if seen.memory_bytes is not None
        ]
        one = ("service",)
        yield _family("refnet_service_up", "gauge", "Instances that run and fail no check.", one, up)
        yield _family("refnet_service_desired", "gauge", "Instances that should run.", one, desired)
        yield _family("refnet_service_restarts_total", "counter", "Restarts of the instances.", one, restarts)
        words = "Memory of the whole process tree of an instance."
        yield _family("refnet_instance_memory_bytes", "gauge", words, ("service", "instance"), memory)

    def _checks(self) -> Iterator[Family]:
        watch = self._daemon.watch
        samples = [
            ((each.service, each.instance, each.check.title), _SEVERITY[watch.states[key].status])
            for key, each in watch.watched.items()
            if key in watch.states
        ]
        words = "Status of a check: 0 passing, 1 warning, 2 critical."
        yield _family("refnet_check_status", "gauge", words, ("service", "instance", "check"), samples)
        yield counter("refnet_daemon_check_results_total", "Check results the daemon took in.", float(watch.results))

    def _itself(self) -> Iterator[Family]:
        counters = self._daemon.counters
        yield gauge(
            "refnet_daemon_last_look_timestamp_seconds",
            "When the daemon last looked at what runs.",
            self._daemon.as_of.timestamp(),
        )
        buckets = [((str(edge),), float(count)) for edge, count in counters.within.items()]
        yield Family(
            name="refnet_daemon_cycle_duration_seconds",
            kind="histogram",
            help="Duration of one turn of the daemon's loop.",
            labels=("le",),
            samples=(*buckets, (("+Inf",), float(counters.cycles)), ((), counters.cycle_seconds)),
        )
        events = [((kind,), float(count)) for kind, count in sorted(counters.events.items())]
        words = "Events the daemon recorded since it started."
        yield _family("refnet_daemon_events_total", "counter", words, ("kind",), events)


def _family(
    name: str, kind: str, words: str, labels: tuple[str, ...], samples: Sequence[tuple[tuple[str, ...], float]]
) -> Family:
    return Family(name=name, kind=kind, help=words, labels=labels, samples=tuple(samples))
