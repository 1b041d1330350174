"""Traces by OpenTelemetry's SDK. Imported only where traces are on: it is an extra."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from importlib.metadata import version

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    format_trace_id,
)

from graphwire_server.telemetry.tracing import (
    Carrier,
    NodeEnd,
    TracedAttempt,
    TracedRun,
    TracedTask,
    TracingError,
)

#: The status codes that are the server's fault, as OpenTelemetry's conventions for RPCs have it.
_SERVER_ERRORS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
#: How a run ends that has failed, or was lost.
_RUN_ERRORS = frozenset({"FAILED", "TIMED_OUT", "LOST"})

_chosen_ids: ContextVar[tuple[int, int] | None] = ContextVar("graphwire_span_ids", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, but for a span whose ids are chosen."""

    def generate_span_id(self) -> int:
        chosen = _chosen_ids.get()
        return super().generate_span_id() if chosen is None else chosen[1]

    def generate_trace_id(self) -> int:
        chosen = _chosen_ids.get()
        return super().generate_trace_id() if chosen is None else chosen[0]


class OtelTracing:
    """`Tracing`, exported over OTLP to where the OTEL_* variables say."""

    def __init__(self) -> None:
        """Begins to export.

        Raises:
            TracingError: A variable asks for what there is not.
        """
        check_variables("TRACES")
        provider = TracerProvider(resource=resource(), id_generator=_Ids(), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._provider = provider
        self._tracer = provider.get_tracer("graphwire", version("graphwire"))

    def become_default(self) -> None:
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)

    def call(self, method: str, metadata: Carrier) -> _CallSpan:
        parent = propagate.extract(metadata, Context())
        name = method.removeprefix("/")
        attributes = {"rpc.system.name": "grpc", "rpc.method": name}
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        # Never taken back: the task is the call's own, and ends with it.
        otel_context.attach(trace.set_span_in_context(span, parent))
        return _CallSpan(span)

    def carrier(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier

    def run(self, run: TracedRun) -> _RunSpan:
        it = run.it
        parent = propagate.extract(it.carrier, Context())
        links = []
        if run.continues is not None:
            links.append(Link(_span_context(run.continues), {"graphwire.link": "resumed_run"}))
        if it.attempt > 1:
            before = TracedAttempt(it.run_id, it.attempt - 1, it.carrier)
            links.append(Link(_span_context(before), {"graphwire.link": "earlier_attempt"}))
        token = _chosen_ids.set(_ids(it))
        try:
            span = self._tracer.start_span(
                f"run {run.graph_id}",
                parent,
                SpanKind.INTERNAL,
                {
                    "graphwire.run.id": it.run_id,
                    "graphwire.run.attempt": it.attempt,
                    "graphwire.thread.id": run.thread_id,
                    "graphwire.assistant.id": run.assistant_id,
                    "graphwire.graph.id": run.graph_id,
                },
                links,
            )
        finally:
            _chosen_ids.reset(token)
        # Not taken back either: the task is the attempt's own.
        otel_context.attach(trace.set_span_in_context(span, parent))
        return _RunSpan(span)

    def task(self, task: TracedTask) -> _TaskSpan:
        attributes: dict[str, str | int] = {
            "graphwire.node.name": task.node,
            "graphwire.task.id": task.task_id,
        }
        if task.namespace:
            attributes["graphwire.namespace"] = task.namespace
        if task.step is not None:
            attributes["graphwire.step"] = task.step
        return _TaskSpan(self._tracer.start_span(f"node {task.node}", attributes=attributes))

    def stop(self) -> None:
        self._provider.shutdown()


class _CallSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace_id = format_trace_id(span.get_span_context().trace_id)

    def end(self, code: str, fields: Mapping[str, str], messages: int | None) -> None:
        span = self._span
        if span.is_recording():
            span.set_attribute("rpc.response.status_code", code)
            for name in ("request_id", "thread_id", "run_id"):
                if name in fields:
                    span.set_attribute(f"graphwire.{name.replace('_', '.')}", fields[name])
            if messages is not None:
                span.set_attribute("graphwire.stream.messages", messages)
            if code in _SERVER_ERRORS:
                span.set_attribute("error.type", code)
                span.set_status(StatusCode.ERROR)
        span.end()


class _RunSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace_id = format_trace_id(span.get_span_context().trace_id)

    def end(self, status: str, error_type: str, error: str) -> None:
        self._span.set_attribute("graphwire.run.status", status)
        if status in _RUN_ERRORS:
            self._span.set_attribute("error.type", error_type or status)
            self._span.set_status(StatusCode.ERROR, error or None)
        self._span.end()


class _TaskSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = trace.set_span_in_context(span)
        self._token = otel_context.attach(self._context)

    def end(self, how: NodeEnd, error: BaseException | None) -> None:
        self._span.set_attribute("graphwire.task.outcome", how)
        if error is not None:
            # As of the run that it fails; the event has the whole name.
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.record_exception(error)
            self._span.set_status(StatusCode.ERROR, str(error)[:1000])
        # A stream that somebody else has closed ends in a context that is not its own.
        if otel_context.get_current() is self._context:
            otel_context.detach(self._token)
        self._span.end()


def check_variables(signal: str) -> None:
    """Refuses what the exporter of TRACES, or METRICS, can't do.

    Raises:
        TracingError: A variable asks for a protocol that it does not speak, or has a user and a
            password in the collector's address.
    """
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"):
        if os.environ.get(name, "grpc") not in ("grpc", ""):
            raise TracingError(
                f"{name}: should be grpc, the protocol that is exported, and is "
                f"{os.environ[name]!r}: leave it out, and name the collector's gRPC port"
            )
    ours = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    name = next((name for name in ours if os.environ.get(name)), "")
    if name and "@" in os.environ[name]:
        # The exporter takes all of it for the host's name, and writes that into the log.
        raise TracingError(
            f"{name}: has a user or a password, which gRPC does not send: take them out; what "
            "the collector wants to know goes into OTEL_EXPORTER_OTLP_HEADERS, as in "
            "authorization=Basic%20…"
        )


def resource() -> Resource:
    """Returns what is said of this process, besides what OTEL_RESOURCE_ATTRIBUTES says."""
    given = Resource.create(
        {SERVICE_VERSION: version("graphwire"), SERVICE_INSTANCE_ID: str(uuid.uuid4())}
    )
    if str(given.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        given = given.merge(Resource({SERVICE_NAME: "graphwire"}))
    return given


def _ids(attempt: TracedAttempt) -> tuple[int, int]:
    """Returns the ids that the span of an attempt has where nothing gives it a trace."""
    trace_id = hashlib.sha256(attempt.run_id.encode()).digest()[:16]
    span_id = hashlib.sha256(f"{attempt.run_id}/{attempt.attempt}".encode()).digest()[:8]
    return int.from_bytes(trace_id), int.from_bytes(span_id)


def _span_context(attempt: TracedAttempt) -> SpanContext:
    """Returns the context of an attempt's span, whoever has made it, or will."""
    trace_id, span_id = _ids(attempt)
    parent = trace.get_current_span(propagate.extract(attempt.carrier, Context()))
    given = parent.get_span_context()
    if given.is_valid:
        flags = given.trace_flags
        return SpanContext(given.trace_id, span_id, is_remote=True, trace_flags=flags)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(0))
