"""Streams that stay open, read step by step."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from graphwire.v1 import run_event_pb2, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, Refusal, payload, refused

Change = threads_pb2.WatchThreadsResponse


class _Stream:
    """A stream that is open: its first response, which says so, was read."""

    def __init__(self, call: Any) -> None:
        self._call = call
        #: Where it stands.
        self.cursor: str = self._next().cursor
        assert 1 <= len(self.cursor) <= 64

    def _next(self) -> Any:
        response = next(self._call)
        self.cursor = response.cursor
        assert 1 <= len(response.cursor) <= 64
        return response

    def close(self) -> None:
        """Ends it."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Joined(_Stream):
    """The events of a thread."""

    def __init__(
        self,
        threads: threads_pb2_grpc.ThreadsStub,
        thread_id: str,
        *,
        timeout: float = DEADLINE,
        **fields: Any,
    ) -> None:
        """Joins a thread."""
        request = threads_pb2.JoinThreadRequest(thread_id=thread_id, **fields)
        super().__init__(threads.JoinThread(request, timeout=timeout))

    def event(self) -> run_event_pb2.RunEvent:
        """Waits for the next event."""
        while True:
            event: run_event_pb2.RunEvent = self._next().event
            if event.WhichOneof("event") != "heartbeat":
                return event

    def events(self, count: int) -> list[run_event_pb2.RunEvent]:
        """Waits for so many events."""
        return [self.event() for _ in range(count)]

    def to_end(self, run_id: str) -> list[run_event_pb2.RunEvent]:
        """Reads up to the end of a run."""
        events: list[run_event_pb2.RunEvent] = []
        while not events or not (events[-1].HasField("end") and events[-1].run_id == run_id):
            events.append(self.event())
        return events

    def heartbeat(self) -> None:
        """Waits for a heartbeat; no event may come before it."""
        response = self._next()
        assert response.event.WhichOneof("event") == "heartbeat"
        assert response.event.run_id == ""
        assert response.event.sequence == 0


class Watched(_Stream):
    """What happens on threads."""

    def __init__(
        self,
        threads: threads_pb2_grpc.ThreadsStub,
        *,
        timeout: float = DEADLINE,
        metadata: Any = None,
        values: Any = None,
        thread_ids: Any = (),
        assistant_id: str = "",
        **fields: Any,
    ) -> None:
        """Watches threads."""
        which = threads_pb2.ThreadFilter(
            metadata=None if metadata is None else payload(metadata),
            values=None if values is None else payload(values),
            thread_ids=thread_ids,
            assistant_id=assistant_id,
        )
        request = threads_pb2.WatchThreadsRequest(filter=which, **fields)
        super().__init__(threads.WatchThreads(request, timeout=timeout))

    def change(self) -> Change:
        """Waits for the next change."""
        while True:
            response: Change = self._next()
            if response.kind:
                return response
            assert response.thread_id == ""

    def changes(self, count: int) -> list[Change]:
        """Waits for so many changes."""
        return [self.change() for _ in range(count)]

    def heartbeat(self) -> None:
        """Waits for a heartbeat; no change may come before it."""
        assert not self._next().kind


def name(change: Change) -> str:
    """The kind of a change."""
    kind = threads_pb2.ThreadChangeKind.Name(change.kind)
    return kind.removeprefix("THREAD_CHANGE_KIND_")


def ends_with(stream: Joined | Watched, code: str, reason: str) -> Refusal:
    """Expects a stream to end with an error, after what is left of it."""
    with refused(code, reason) as refusal:
        _read_on(stream)
    return refusal


def _read_on(stream: Joined | Watched) -> None:
    while True:
        stream._next()
