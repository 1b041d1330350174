"""The endpoint that Prometheus reads: a small HTTP server on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from graphwire_server.telemetry.metrics import Distribution, Family

Read = Callable[[], Sequence[Family]]
PrometheusFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class PrometheusEndpoint:
    """Answers `GET /metrics`.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, host: str, port: int, read: Read) -> None:
        """Begins to listen.

        Args:
            host: The address, without brackets.
            port: The port; 0: any.
            read: Returns the metrics; called on a thread of the endpoint's.

        Raises:
            OSError: It can't listen there.
        """
        registry = CollectorRegistry()
        registry.register(_Collector(read))
        ProcessCollector(registry=registry)
        self._server, self._thread = start_http_server(port, host, registry)
        self.port: int = self._server.server_port

    def stop(self) -> None:
        """Listens no more; blocks for half a second at the most. To be called on any thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Collector(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read
        self._lock = threading.Lock()

    def collect(self) -> Iterable[PrometheusFamily]:
        with self._lock:
            families = self._read()
        return [_family(family) for family in families]

    def describe(self) -> Iterable[PrometheusFamily]:
        # Nothing: the registry would ask for all values, to know their names.
        return []


def _family(family: Family) -> PrometheusFamily:
    match family.kind:
        case "counter":
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for key, value in family.values:
                assert not isinstance(value, Distribution)
                counter.add_metric(key, value)
            return counter
        case "gauge":
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for key, value in family.values:
                assert not isinstance(value, Distribution)
                gauge.add_metric(key, value)
            return gauge
        case "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            bounds = [*map(_bound, family.bounds), "+Inf"]
            for key, value in family.values:
                assert isinstance(value, Distribution)
                buckets = list(zip(bounds, accumulate(value.counts), strict=True))
                histogram.add_metric(key, buckets, value.total)
            return histogram


def _bound(bound: float) -> str:
    return str(float(bound))
