"""A server on the project of these tests, and what it tells."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from typing import Any

import grpc
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, checked, payload, value
from tests.e2e.gates import until
from tests.servers import ServerProcess

Metadata = tuple[tuple[str, str], ...]


class Caller:
    """What a caller's own tracing would send: the span that calls.

    Attributes:
        trace_id: Its trace.
        span_id: Its span.
    """

    def __init__(self) -> None:
        """Makes ids."""
        self.trace_id = uuid.uuid4().hex
        self.span_id = uuid.uuid4().hex[:16]

    @property
    def metadata(self) -> Metadata:
        """The metadata of its call."""
        return (("traceparent", f"00-{self.trace_id}-{self.span_id}-01"),)


class Told:
    """A server with its stubs.

    Attributes:
        process: The server.
        runs: The stub of Runs.
        threads: The stub of Threads.
    """

    def __init__(self, process: ServerProcess) -> None:
        """Takes a server that runs."""
        self.process = process
        self.connect()

    def connect(self) -> None:
        """Connects to the server as it runs now."""
        self._channel = grpc.insecure_channel(self.process.address)
        self.runs: Any = runs_pb2_grpc.RunsStub(self._channel)
        self.threads: Any = threads_pb2_grpc.ThreadsStub(self._channel)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def stream(
        self, metadata: Metadata = (), given: Any = None, **fields: Any
    ) -> list[run_event_pb2.RunEvent]:
        """Streams a run to its end; with a new thread if none is given, on `given` as input."""
        if "resume" not in fields:
            fields["input"] = payload({"gate": ""} if given is None else given)
        fields.setdefault("thread_id", str(uuid.uuid4()))
        fields.setdefault("if_not_exists", run_pb2.IF_NOT_EXISTS_CREATE)
        request = runs_pb2.StreamRunRequest(**fields)
        events = self.runs.StreamRun(request, timeout=DEADLINE, metadata=metadata)
        return checked([response.event for response in events])

    def wait(self, run_id: str) -> Any:
        """Waits for a run's end and returns the values that it left."""
        response = self.runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run_id), timeout=DEADLINE)
        return value(response.values)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log, which is JSON."""
        return [json.loads(line) for line in self.process.log.splitlines() if line[0] == "{"]

    def line(self, event: str, **fields: str) -> dict[str, Any]:
        """Waits for the line of an event with these fields; there must be one alone."""

        def found() -> list[dict[str, Any]]:
            return [
                line
                for line in self.lines
                if line["event"] == event and fields.items() <= line.items()
            ]

        until(found, f"a line {event} {fields}")
        (line,) = found()
        return line

    @property
    def metrics_url(self) -> str:
        """Where its metrics are read, as its log says."""
        urls: list[str] = re.findall(r"http://[^\"\s]+/metrics", self.process.log)
        return urls[-1]

    def scrape(self) -> str:
        """Reads its metrics, as text."""
        with urllib.request.urlopen(self.metrics_url, timeout=DEADLINE) as response:
            text: str = response.read().decode()
        return text


def run_of(events: list[run_event_pb2.RunEvent]) -> tuple[str, str]:
    """The run and the thread of a stream."""
    metadata = events[0].metadata
    return metadata.run_id, metadata.thread_id
