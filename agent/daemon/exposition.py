"""Turn families into what Prometheus reads, in the format and compression it asks for."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector, CollectorRegistry

from agent.system.host import Family

# With a registry of its own: the global one would add Python's collectors, which nobody asked for.
_PROCESS = ProcessCollector(registry=CollectorRegistry())


class Scrape(Collector):
    """The families of one moment, encoded once for each way of asking."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._metrics = (*map(_metric, families), *_PROCESS.collect())
        self._bodies: dict[tuple[str, bool], bytes] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; prometheus-client's encoders ask for them."""
        yield from self._metrics

    def body(self, *, accept: str, accept_encoding: str) -> tuple[bytes, str, bool]:
        """Return the text, its content type and whether it is gzipped, as the two request headers ask."""
        encode, kind = choose_encoder(accept)
        small = gzip_accepted(accept_encoding)
        if (kind, small) not in self._bodies:
            text = encode(self)
            self._bodies[kind, small] = gzip.compress(text, compresslevel=1) if small else text
        return self._bodies[kind, small], kind, small


def _metric(family: Family) -> Metric:
    metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
    if family.kind == "counter":
        for values, number in family.samples:
            metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), number)
        return metric
    if family.kind != "histogram":
        metric.name = family.name
        for values, number in family.samples:
            metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), number)
        return metric
    for values, number in family.samples:
        if values:
            metric.add_sample(f"{family.name}_bucket", {"le": values[0]}, number)
            if values == ("+Inf",):
                metric.add_sample(f"{family.name}_count", {}, number)
        else:
            metric.add_sample(f"{family.name}_sum", {}, number)
    return metric
