"""Calls that are repeated until they are answered, however often the server is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from graphwire.v1 import pause_pb2, run_event_pb2, run_pb2, runs_pb2

from tests.crash.errors import BrokenError, RefusedError
from tests.crash.links import Link, Links
from tests.e2e.drive import reason_of

Response = TypeVar("Response")

#: How long, in seconds, one call may take.
PATIENCE = 60.0


@dataclass
class Followed:
    """A run as its client saw it.

    Attributes:
        run_id: The run; empty until the first event has come.
        thread_id: Its thread.
        events: Every event that came, in order; heartbeats left out.
    """

    run_id: str = ""
    thread_id: str = ""
    events: list[run_event_pb2.RunEvent] = field(default_factory=list)

    @property
    def status(self) -> str:
        """How it ended."""
        return run_pb2.RunStatus.Name(self.events[-1].end.status).removeprefix("RUN_STATUS_")

    @property
    def pauses(self) -> list[pause_pb2.Pause]:
        """The pauses with which it ended."""
        return [p for event in self.events for p in event.interrupted.pauses]

    def receive(self, event: run_event_pb2.RunEvent) -> bool:
        """Takes an event; returns whether it is the last one."""
        kind = event.WhichOneof("event")
        if kind == "heartbeat":
            return False
        if event.sequence != len(self.events) + 1:
            raise BrokenError("gap", f"event {event.sequence} came after {len(self.events)}")
        self.events.append(event)
        self.run_id = event.run_id
        if kind == "metadata":
            self.thread_id = event.metadata.thread_id
        return kind == "end"


class Caller:
    """Calls a server, and calls it again when it was lost: a request id makes that safe."""

    def __init__(self, links: Links) -> None:
        """Takes the way to the server."""
        self._links = links

    def follow(
        self,
        run: Followed,
        start: runs_pb2.StreamRunRequest | None = None,
        *,
        until: int | None = None,
    ) -> None:
        """Streams a run to its end, through as many servers as it takes.

        Args:
            run: What takes the events; names the run, unless `start` starts it.
            start: What starts it.
            until: The last event that is wanted; None: to the end.

        Raises:
            BrokenError: The stream is not as it must be, or the run was refused.
            AbandonedError: There will be no server any more.
        """
        link = self._links.get()
        while until is None or len(run.events) < until:
            try:
                for response in self._stream(link, run, start):
                    if run.receive(response.event) or len(run.events) == until:
                        return
                raise BrokenError("stream", f"run {run.run_id} ended well without an `end`")
            except (grpc.RpcError, ValueError) as error:
                self._unless_lost(link, error, f"run {run.run_id or '(unknown)'}")
            link = self._links.get(after=link)

    def call(self, method: Callable[[Link], Callable[..., Response]], request: Message) -> Response:
        """Calls until there is an answer.

        Raises:
            RefusedError: The server has refused it.
            BrokenError: There was no answer.
            AbandonedError: There will be no server any more.
        """
        link = self._links.get()
        while True:
            try:
                return method(link)(request, timeout=PATIENCE)
            except (grpc.RpcError, ValueError) as error:
                self._unless_lost(link, error, type(request).__name__)
            link = self._links.get(after=link)

    def _stream(
        self, link: Link, run: Followed, start: runs_pb2.StreamRunRequest | None
    ) -> Iterator[runs_pb2.StreamRunResponse | runs_pb2.JoinRunResponse]:
        if start is not None and not run.run_id:
            return link.runs.StreamRun(start, timeout=PATIENCE)
        join = runs_pb2.JoinRunRequest(run_id=run.run_id, after_sequence=len(run.events))
        return link.runs.JoinRun(join, timeout=PATIENCE)

    def _unless_lost(self, link: Link, error: Any, what: str) -> None:
        """Returns if a call failed with its server; raises what it means if not."""
        if self._links.is_lost(link, error):
            return
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise BrokenError("stuck", f"{what}: nothing came to an end within {PATIENCE:g} s")
        raise RefusedError(reason_of(error), f"{what}: {error.code().name}: {error.details()}")
