"""What logs, metrics and traces tell of one call."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from google.protobuf.message import Message

from graphwire_server.telemetry import log_fields
from graphwire_server.telemetry.setup import Telemetry

_log = structlog.get_logger("graphwire.rpc")

#: The metadata key of a call's id: the caller may give it, and finds it in the trailers.
REQUEST_ID = "x-request-id"

# What is safe in a log line, a header and a shell.
_SANE = re.compile(r"[A-Za-z0-9._:/+=@,-]{1,128}")

#: How much earlier than here a deadline may be over at the caller, and which part of it.
_EARLY_SECONDS, _EARLY_PART = 0.1, 0.01

#: Fields of requests that name what a call is about.
_SUBJECTS = ("thread_id", "run_id")


class ObservedCall:
    """A call, in its own task.

    Attributes:
        request_id: Its id: the caller's, if that is sane.
        log: A logger that names the call.
    """

    def __init__(
        self, method: str, metadata: Mapping[str, str], telemetry: Telemetry, *, streams: bool
    ) -> None:
        """Begins to tell of it: each line that is logged from now on has its request id."""
        given = metadata.get(REQUEST_ID, "")
        self.request_id = given if _SANE.fullmatch(given) else str(uuid.uuid4())
        name = method.rpartition("/")[2]
        self.log = _log.bind(method=name, request_id=self.request_id)
        self._method = method.removeprefix("/")
        self._fields = {"method": name, "request_id": self.request_id}
        log_fields.begin(self._fields)
        self._metrics = telemetry.metrics
        self._span = None
        if telemetry.tracing is not None:
            self._span = telemetry.tracing.call(method, metadata)
            self._fields["trace_id"] = self._span.trace_id
        self._began = time.monotonic()
        self._sent = 0
        self._streams = streams
        self._ended = False
        if streams:
            self._metrics.streams_open.add(self._method)

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """What the caller is told of it."""
        return ((REQUEST_ID, self.request_id),)

    def called_by(self, principal: str) -> None:
        """Notes who calls."""
        log_fields.note(principal=principal)

    def note(self, request: Message) -> None:
        """Notes what the call is about."""
        for name in _SUBJECTS:
            subject = getattr(request, name, "")
            if subject:
                log_fields.note(**{name: subject})

    def sent(self) -> None:
        """Counts a message of a stream."""
        self._sent += 1
        self._metrics.stream_messages.add(self._method)

    def end_cancelled(self, context: Any) -> None:
        """Tells that nobody waits for it any more: its caller has gone, or its time is over."""
        left = context.time_remaining()
        if left is None:
            self.end("CANCELLED")
            return
        # A caller whose time is over cancels the call, and may be a little early: the time
        # travels in round numbers.
        early = _EARLY_SECONDS + _EARLY_PART * (time.monotonic() - self._began + left)
        self.end("CANCELLED" if left > early else "DEADLINE_EXCEEDED")

    def end(self, code: str) -> None:
        """Tells that it has ended; the first word counts."""
        if self._ended:
            return
        self._ended = True
        taken = time.monotonic() - self._began
        self._metrics.rpcs.add(self._method, code)
        if self._streams:
            self._metrics.streams_open.add(self._method, by=-1)
        else:
            self._metrics.rpc_seconds.observe(taken, self._method)
        self.log.debug("rpc", code=code, ms=round(taken * 1000, 1))
        if self._span is not None:
            self._span.end(code, self._fields, self._sent if self._streams else None)
