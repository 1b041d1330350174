"""Sends the metrics to a collector, over OTLP. Imported only where that is on: it is an extra."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from graphwire_server.telemetry.metrics import Distribution, Family
from graphwire_server.telemetry.otel import check_variables, resource

Read = Callable[[], Sequence[Family]]

#: How often, in milliseconds, if OTEL_METRIC_EXPORT_INTERVAL does not say.
_EVERY = "60000"


class OtlpMetrics:
    """Sends metrics at intervals, and once more at the end."""

    def __init__(self, read: Read) -> None:
        """Begins; `read` returns the metrics, and is called on a thread of this object's.

        Raises:
            TracingError, ValueError: A variable asks for what there is not, or can't be read.
        """
        check_variables("METRICS")
        self._read = read
        self._exporter = OTLPMetricExporter()
        self._resource = resource()
        self._scope = InstrumentationScope("graphwire", version("graphwire"))
        self._began = time.time_ns()
        self._every = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or _EVERY) / 1000
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._send_for_ever, name="otlp-metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Sends what is there, and closes; blocks meanwhile. To be called on any thread."""
        self._stopping.set()
        self._thread.join()
        self._exporter.shutdown()

    def _send_for_ever(self) -> None:
        while True:
            last = self._stopping.wait(self._every)
            # It says itself, in the log, when nobody takes them.
            self._exporter.export(self._data(self._read()))
            if last:
                return

    def _data(self, families: Sequence[Family]) -> MetricsData:
        now = time.time_ns()
        metrics = [self._metric(family, now) for family in families if family.values]
        scoped = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])

    def _metric(self, family: Family, now: int) -> Metric:
        data: Sum | Gauge | Histogram
        cumulative = AggregationTemporality.CUMULATIVE
        points: list[Any] = []
        for key, value in family.values:
            attributes = dict(zip(family.labels, key, strict=True))
            if isinstance(value, Distribution):
                points.append(self._distribution(family, attributes, value, now))
            else:
                points.append(NumberDataPoint(attributes, self._began, now, value))
        match family.kind:
            case "counter":
                data = Sum(points, cumulative, is_monotonic=True)
            case "gauge":
                data = Gauge(points)
            case "histogram":
                data = Histogram(points, cumulative)
        return Metric(family.name, family.help, _unit(family.name), data)

    def _distribution(
        self, family: Family, attributes: dict[str, str], value: Distribution, now: int
    ) -> HistogramDataPoint:
        unknown: Any = None
        return HistogramDataPoint(
            attributes,
            self._began,
            now,
            count=value.count,
            sum=value.total,
            bucket_counts=value.counts,
            explicit_bounds=family.bounds,
            min=unknown,
            max=unknown,
        )


def _unit(name: str) -> str:
    if name.endswith("_seconds"):
        return "s"
    return "By" if name.endswith("_bytes") else "1"
