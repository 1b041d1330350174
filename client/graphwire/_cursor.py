"""Where a stream of events stands: what to send next, what to show, when to give up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from graphwire._calls import Method, Stream, method_of
from graphwire._events import EventReader
from graphwire._retry import Retry
from graphwire.errors import ConnectionLostError, GraphwireError
from graphwire.events import End, Event, Metadata
from graphwire.v1 import runs_pb2 as pb

T_co = TypeVar("T_co", covariant=True)
#: The trailing metadata of a call.
Trailers = Iterable[tuple[str, str | bytes]]

#: The trailer with the sequence of the run's last event, of a stream that has come to it.
_END_SEQUENCE = "graphwire-end-sequence"


class Openable(Protocol):
    """A call of a stream: `Stream`, or `Follow`."""

    @property
    def method(self) -> Method: ...
    @property
    def request(self) -> Any: ...
    @property
    def timeout(self) -> float | None: ...


class Progress(Protocol[T_co]):
    """The state of a stream, across all the calls that it takes: `Cursor`, or `Following`."""

    @property
    def ended(self) -> bool: ...
    def next_call(self) -> Openable: ...
    def receive(self, response: Any) -> T_co | None: ...
    def delay(self, error: GraphwireError) -> float | None: ...
    def failure(self, error: GraphwireError) -> GraphwireError: ...
    def finish(self, trailers: Trailers) -> ConnectionLostError: ...


class Cursor:
    """The state of one stream, across all the calls that it takes.

    Attributes:
        run_id: The run; empty until it is known.
        thread_id: Its thread; empty until it is known.
        last_sequence: The sequence of the last event shown.
        ended: Whether the last event has been shown, or was before this stream began.
    """

    def __init__(self, stream: Stream, rejoin_timeout: float) -> None:
        """Begins a stream.

        Args:
            stream: What to stream.
            rejoin_timeout: For how long to try to rejoin where the stream does not say.
        """
        self.run_id = stream.run_id
        self.thread_id = ""
        self.last_sequence = stream.after_sequence
        self.ended = False
        self._stream = stream
        self._events = EventReader()
        self._retry = Retry(
            patience=rejoin_timeout if stream.rejoin_timeout is None else stream.rejoin_timeout,
            timeout=stream.timeout,
        )

    def next_call(self) -> Stream:
        """Returns the call that goes on after the last event shown.

        Until the run is known it is the first call again: its request id makes that safe.
        """
        stream = self._stream
        if self._rejoining:
            request = pb.JoinRunRequest(
                run_id=self.run_id,
                after_sequence=self.last_sequence,
                on_disconnect=stream.request.on_disconnect,
            )
            method = method_of(request, pb.JoinRunResponse)
            stream = replace(stream, method=method, request=request)
        return replace(stream, timeout=self._retry.remaining())

    def receive(self, response: pb.StreamRunResponse | pb.JoinRunResponse) -> Event | None:
        """Takes a response; returns its event if it is one to show."""
        self._retry.progress()
        sequence = response.event.sequence
        if sequence <= self.last_sequence:  # a heartbeat, or sent again after a rejoin
            return None
        event = self._events.read(response.event)
        self.last_sequence = sequence
        self.run_id = self.run_id or response.event.run_id
        if isinstance(event, Metadata):
            self.thread_id = event.thread_id
        self.ended = isinstance(event, End)
        return event

    def delay(self, error: GraphwireError) -> float | None:
        """Returns after how many seconds to rejoin; None: not at all, see `failure`."""
        return self._retry.delay(error, hinted=self._rejoining)

    def failure(self, error: GraphwireError) -> GraphwireError:
        """Returns what to raise for the error that ends the stream: says where it was."""
        if self._retry.gave_up:
            given_up = ConnectionLostError(f"gave up rejoining: {error}", code=error.code)
            given_up.metadata.update(error.metadata)
            given_up.retry_after = error.retry_after
            error = given_up
        if self.run_id:
            error.metadata.setdefault("run_id", self.run_id)
            error.metadata.setdefault("last_sequence", str(self.last_sequence))
        return error

    def finish(self, trailers: Trailers) -> ConnectionLostError:
        """Takes the end of a call that ended well; returns the error if the run has not `ended`.

        Without the run's last event it is over only where the server says that nothing follows
        what has come: whatever lies between may end a call that is cut as if all were well.
        """
        for key, value in trailers:
            if key == _END_SEQUENCE and value == str(self.last_sequence):
                self.ended = True
        return ConnectionLostError(
            f"the stream of run {self.run_id or '(not known yet)'} ended before the run's end",
            code="UNAVAILABLE",
        )

    @property
    def retrying(self) -> bool:
        """Whether the last try has failed, and nothing has come since."""
        return self._retry.failing

    @property
    def _rejoining(self) -> bool:
        return self.last_sequence > self._stream.after_sequence


class Streamed:
    """What a stream of events tells about itself."""

    def __init__(self, cursor: Cursor) -> None:
        """Begins with the stream."""
        self._cursor = cursor

    @property
    def run_id(self) -> str:
        """The run; empty until it is known."""
        return self._cursor.run_id

    @property
    def thread_id(self) -> str:
        """The run's thread; empty until the `Metadata` event has come."""
        return self._cursor.thread_id

    @property
    def last_sequence(self) -> int:
        """The sequence of the last event that has come, for `runs.join`."""
        return self._cursor.last_sequence

    @property
    def retrying(self) -> bool:
        """Whether the connection is lost at present, and is tried again."""
        return self._cursor.retrying
