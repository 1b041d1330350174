"""Lets others read the metrics, by whatever settings say, and closes all that was opened."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from graphwire_server.telemetry.loop_lag import LoopLag
from graphwire_server.telemetry.metrics import Family
from graphwire_server.telemetry.setup import Destination, Telemetry, readable_variables

_log = structlog.get_logger("graphwire.server")

#: For how long what was read from the database is as good as new, in seconds.
_FRESH_SECONDS = 5.0
#: How long a reader waits for the event loop, and for the database, in seconds.
_PATIENCE = 2.0
#: How long it may take to send what is left when the server stops, in seconds.
_STOP_SECONDS = 5.0


#: Brings what nobody counts up to date.
Refresh = Callable[[], Coroutine[Any, Any, None]]


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class Exports:
    """Gives out metrics and traces.

    Attributes:
        metrics_port: Where Prometheus reads metrics; 0: nowhere.
    """

    def __init__(
        self, telemetry: Telemetry, refresh: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Takes the metrics, and what brings those up to date that nobody counts."""
        self.metrics_port = 0
        self._telemetry = telemetry
        self._refresh = refresh
        self._read_at = -_FRESH_SECONDS
        self._loop = asyncio.get_running_loop()
        self._lag: LoopLag | None = None
        self._open: list[_Stoppable] = []
        if telemetry.tracing is not None:
            self._open.append(telemetry.tracing)

    def start(self, *, listen: str, metrics_to: Destination) -> None:
        """Begins to give metrics out.

        Args:
            listen: Where Prometheus reads them, host:port; empty: nowhere.
            metrics_to: Where they are sent.

        Raises:
            OSError: The address can't be listened on.
            TracingError: A variable asks for what there is not.
        """
        if listen:
            from graphwire_server.telemetry.prometheus import PrometheusEndpoint

            host, _, port = listen.rpartition(":")
            try:
                endpoint = PrometheusEndpoint(host.strip("[]"), int(port), self._read)
            except OSError as error:
                reason = error.strerror or error
                raise OSError(f"can't listen on {listen} for metrics: {reason}") from error
            self._open.append(endpoint)
            self.metrics_port = endpoint.port
            _log.info("metrics_listening", url=f"http://{host}:{endpoint.port}/metrics")
        if metrics_to == "otlp":
            from graphwire_server.telemetry.otlp_metrics import OtlpMetrics

            with readable_variables():
                self._open.append(OtlpMetrics(self._read))
        if listen or metrics_to != "off":
            self._lag = LoopLag(self._telemetry.metrics.loop_lag_seconds)

    async def stop(self) -> None:
        """Sends what is left, and closes. What can't be sent in some seconds is lost."""
        if self._lag is not None:
            self._lag.stop()
        if not self._open:
            return
        stopped = [asyncio.Event() for _ in self._open]
        for each, event in zip(self._open, stopped, strict=True):
            # On threads that nobody has to wait for, and that no node can be in the way of.
            threading.Thread(
                target=self._close, args=(each, event), name="telemetry-stop", daemon=True
            ).start()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                for event in stopped:
                    await event.wait()
        except TimeoutError:
            _log.warning("telemetry_not_sent", hint="the collector does not answer")

    def _close(self, each: _Stoppable, stopped: asyncio.Event) -> None:
        try:
            each.stop()
        except Exception:  # noqa: BLE001  # it is as closed as it gets
            _log.exception("telemetry_not_closed")
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(stopped.set)

    def _read(self) -> Sequence[Family]:
        """Returns the metrics, on a reader's thread, as fresh as the event loop allows."""
        now = time.monotonic()
        if now - self._read_at >= _FRESH_SECONDS and not self._loop.is_closed():
            refreshing = asyncio.run_coroutine_threadsafe(self._refresh(), self._loop)
            try:
                refreshing.result(_PATIENCE)
            except Exception as error:  # noqa: BLE001  # whatever it is, the others are to be had
                refreshing.cancel()
                _log.warning("metrics_not_refreshed", error=str(error) or type(error).__name__)
            else:
                self._read_at = now
        return self._telemetry.metrics.families()
