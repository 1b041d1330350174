"""What the parts of the server are given to say what they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from graphwire_server.telemetry.instruments import Metrics
from graphwire_server.telemetry.tracing import Tracing, TracingError


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Metrics and traces.

    Attributes:
        metrics: What is counted.
        tracing: What makes spans; None if nothing does.
    """

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing | None = None


def make_tracing(to: Literal["off", "otlp"]) -> Tracing | None:
    """Returns what makes spans, as the setting `tracing` says.

    Raises:
        TracingError: What it needs is not installed, or a variable asks for what there is not.
    """
    if to == "off":
        return None
    need_opentelemetry("GRAPHWIRE_TRACING")
    from graphwire_server.telemetry.otel import OtelTracing

    return OtelTracing()


def need_opentelemetry(setting: str) -> None:
    """Makes sure that OpenTelemetry's SDK is installed, which a setting needs.

    Raises:
        TracingError: It is not.
    """
    try:
        import opentelemetry.exporter.otlp.proto.grpc
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError as missing:
        raise TracingError(
            f"{setting}=otlp needs {missing.name or 'opentelemetry'}, which is not installed or "
            "can't be loaded: install graphwire[otel]"
        ) from missing
