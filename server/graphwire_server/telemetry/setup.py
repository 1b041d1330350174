"""What the parts of the server are given to say what they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from graphwire_server.telemetry.instruments import Metrics
from graphwire_server.telemetry.tracing import Tracing, TracingError

#: Where something is sent: nowhere, or to the collector that OTEL_* variables name.
Destination = Literal["off", "otlp"]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Metrics and traces.

    Attributes:
        metrics: What is counted.
        tracing: What makes spans; None if nothing does.
    """

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing | None = None


def make_telemetry(*, traces_to: Destination, metrics_to: Destination) -> Telemetry:
    """Returns what tells of the server, as the settings `tracing` and `metrics_export` say.

    Raises:
        TracingError: What one needs is not installed, or a variable asks for what there is not.
    """
    if metrics_to == "otlp":
        _need_opentelemetry("GRAPHWIRE_METRICS_EXPORT")
    if traces_to == "off":
        return Telemetry()
    _need_opentelemetry("GRAPHWIRE_TRACING")
    from graphwire_server.telemetry.otel import OtelTracing

    with readable_variables():
        return Telemetry(tracing=OtelTracing())


@contextmanager
def readable_variables() -> Iterator[None]:
    """Says what is wrong where the SDK can't make sense of a variable.

    Raises:
        TracingError: It can't.
    """
    try:
        yield
    except ValueError as error:
        raise TracingError(f"an OTEL_* variable has a value that can't be used: {error}") from error


def _need_opentelemetry(setting: str) -> None:
    try:
        import opentelemetry.exporter.otlp.proto.grpc
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError as missing:
        raise TracingError(
            f"{setting}=otlp needs {missing.name or 'opentelemetry'}, which is not installed or "
            "can't be loaded: install graphwire[otel]"
        ) from missing
