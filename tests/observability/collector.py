"""A collector of traces and metrics over OTLP, in this process."""

from __future__ import annotations

import threading
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2,
    metrics_service_pb2_grpc,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.e2e.gates import until


@dataclass(frozen=True)
class SpanLink:
    """A link of a span to another one."""

    trace_id: str
    span_id: str
    what: str


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids in hexadecimal, `parent` empty for the root of a trace."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    status: str
    message: str
    attributes: dict[str, Any]
    links: tuple[SpanLink, ...]
    events: tuple[str, ...]
    resource: dict[str, Any]


class Collector(
    trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer
):
    """Collects what servers export.

    Attributes:
        endpoint: Where it listens, as OTEL_EXPORTER_OTLP_ENDPOINT has it.
        requests: All that arrived, as text: to look for what must not be in it.
        metrics: The names of the metrics that arrived, with how many points each last had.
    """

    def __init__(self) -> None:
        """Listens."""
        self.requests: list[str] = []
        self.metrics: dict[str, int] = {}
        self._spans: list[Seen] = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        add_traces: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add_metrics: Any = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
        add_traces(self, self._server)
        add_metrics(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a server that exports its traces here, and soon."""
        return {
            "GRAPHWIRE_TRACING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def stop(self) -> None:
        """Listens no more."""
        self._server.stop(0).wait()

    def spans(self) -> list[Seen]:
        """Returns the spans that have arrived, in the order of their ends."""
        with self._lock:
            return list(self._spans)

    def one(self, name: str, **attributes: Any) -> Seen:
        """Waits for the span of a name, with attributes (`_` for `.`); there must be one alone."""
        until(lambda: self.all(name, **attributes), f"a span {name} {attributes}")
        (span,) = self.all(name, **attributes)
        return span

    def all(self, name: str, **attributes: Any) -> list[Seen]:
        """Returns the spans of a name, with attributes."""
        wanted = {f"graphwire.{key.replace('_', '.')}": value for key, value in attributes.items()}
        return [
            span
            for span in self.spans()
            if span.name == name and wanted.items() <= span.attributes.items()
        ]

    def Export(self, request: Any, context: Any) -> Any:
        """Takes traces or metrics."""
        with self._lock:
            self.requests.append(str(request))
            if isinstance(request, metrics_service_pb2.ExportMetricsServiceRequest):
                self._take_metrics(request)
                return metrics_service_pb2.ExportMetricsServiceResponse()
            for resource in request.resource_spans:
                about = _values(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self._spans += [_seen(span, about) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def _take_metrics(self, request: metrics_service_pb2.ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data") or "")
                    self.metrics[metric.name] = len(data.data_points)


def _seen(span: trace_pb2.Span, resource: dict[str, Any]) -> Seen:
    links = tuple(
        SpanLink(
            link.trace_id.hex(), link.span_id.hex(), _values(link.attributes)["graphwire.link"]
        )
        for link in span.links
    )
    return Seen(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        message=span.status.message,
        attributes=_values(span.attributes),
        links=links,
        events=tuple(event.name for event in span.events),
        resource=resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: common_pb2.AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind in ("string_value", "int_value", "bool_value", "double_value"), value
    return getattr(value, kind)
