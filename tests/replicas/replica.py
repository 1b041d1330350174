"""A server among several on one database, and readers of its streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import grpc
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import payload, value
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.servers import ServerProcess

PROJECT = Path(__file__).parent / "project"

#: How long a server may be silent here before the others take over, in seconds.
LEASE = 2.0
#: How long, in seconds, what is waited for may take on a busy machine.
PATIENCE = 60.0

SUCCEEDED = run_pb2.RUN_STATUS_SUCCEEDED
CANCELLED = run_pb2.RUN_STATUS_CANCELLED
#: For runs of many steps.
LONG = run_pb2.RunConfig(recursion_limit=200)
#: Events of all kinds that a run of this project makes.
MODES = [
    run_pb2.STREAM_MODE_VALUES,
    run_pb2.STREAM_MODE_UPDATES,
    run_pb2.STREAM_MODE_TASKS,
    run_pb2.STREAM_MODE_CUSTOM,
]


class Called(Protocol):
    """Whatever can be called.

    Attributes:
        runs: The stub of Runs.
    """

    runs: runs_pb2_grpc.RunsStub


class Replica:
    """A server with its stubs.

    Attributes:
        name: By which Postgres knows its connections.
        process: The server.
        channel: A channel to it.
        runs: The stub of Runs.
        threads: The stub of Threads.
    """

    def __init__(self, name: str, database: Path | str, env: Mapping[str, str]) -> None:
        """Describes it; `start` starts it."""
        self.name = name
        self._is_connected = False
        self.process = ServerProcess(
            database, PROJECT, env={"GRAPHWIRE_LEASE_SECONDS": str(LEASE), **env}
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def start(self) -> Replica:
        """Starts it and connects to it; on a second start it keeps its port."""
        self._hang_up()
        self.process.start()
        self.channel = grpc.insecure_channel(self.process.address, [("grpc.enable_http_proxy", 0)])
        self._is_connected = True
        self.runs = runs_pb2_grpc.RunsStub(self.channel)
        self.threads = threads_pb2_grpc.ThreadsStub(self.channel)
        return self

    def kill(self) -> None:
        """Kills it with SIGKILL.

        Calls that are under way find out by themselves: to close the channel would end them too.
        """
        self.process.kill()

    def stop(self) -> int:
        """Stops it with SIGTERM and returns its exit code."""
        code = self.process.stop()
        self._hang_up()
        return code

    def _hang_up(self) -> None:
        if self._is_connected:
            self.channel.close()


class Reader:
    """Reads a stream on a thread of its own, to its end or its failure.

    Attributes:
        events: What came so far, heartbeats left out.
        arrivals: When each of them came: `time.monotonic()`.
        error: With what the stream failed; None while it has not.
    """

    def __init__(self, call: Any) -> None:
        """Takes the call of a StreamRun or JoinRun."""
        self.events: list[run_event_pb2.RunEvent] = []
        self.arrivals: list[float] = []
        self.error: grpc.RpcError | None = None
        self._call = call
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @classmethod
    def stream(cls, replica: Called, **fields: Any) -> Reader:
        """Starts a run on a server and reads its stream."""
        request = runs_pb2.StreamRunRequest(**fields)
        return cls(replica.runs.StreamRun(request, timeout=PATIENCE))

    @classmethod
    def join(cls, replica: Called, run_id: str, *, after: int = 0) -> Reader:
        """Joins a run on a server."""
        request = runs_pb2.JoinRunRequest(run_id=run_id, after_sequence=after)
        return cls(replica.runs.JoinRun(request, timeout=PATIENCE))

    @property
    def run_id(self) -> str:
        """The run, once its first event has come."""
        until(lambda: self.events or self.error, "the first event")
        return self.events[0].run_id

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events that came."""
        return [event.WhichOneof("event") or "" for event in self.events]

    def whole(self) -> list[run_event_pb2.RunEvent]:
        """Returns all events of a stream that must come to its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"no end after {self.kinds}"
        assert self.error is None, self.error
        return self.events

    def failure(self) -> grpc.RpcError:
        """Returns with what a stream failed that must."""
        self._thread.join(PATIENCE)
        assert self.error is not None, self.kinds
        return self.error

    def _read(self) -> None:
        try:
            for response in self._call:
                if response.event.WhichOneof("event") != "heartbeat":
                    self.arrivals.append(time.monotonic())
                    self.events.append(response.event)
        except grpc.RpcError as error:
            self.error = error


class Ledger:
    """What the nodes of `march` have noted, in the order in which they did."""

    def __init__(self, path: Path) -> None:
        """Takes the file, which need not be there."""
        self.path = path

    def lines(self, word: str) -> list[tuple[int, int]]:
        """Returns (step, process) of each line that begins with `begin` or `end`."""
        text = self.path.read_text() if self.path.exists() else ""
        lines = [line.split() for line in text.splitlines()]
        return [(int(step), int(pid)) for kind, step, pid in lines if kind == word]

    def check(self, *, steps: int, attempts: int) -> None:
        """Checks that no step began again once a later one had, and how many began in all."""
        begun = [step for step, _ in self.lines("begin")]
        assert begun == sorted(begun), begun
        assert set(begun) == set(range(steps))
        assert len(begun) <= steps + attempts - 1, (begun, attempts)


@contextmanager
def replicas(postgres: PostgresServer, database: str, **envs: Mapping[str, str]) -> Iterator[Any]:
    """Starts servers of these names, with their environments, on one database; yields them."""
    started = [
        Replica(name, postgres.url(database, application_name=name), env)
        for name, env in envs.items()
    ]
    threads = [threading.Thread(target=replica.start) for replica in started]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        yield started
    finally:
        for replica in started:
            replica.stop()


def march(ledger: Ledger, *, steps: int, pace: float = 0.0, **more: Any) -> dict[str, Any]:
    """Returns the input of a run of `march`."""
    return {"log": ["in"], "steps": steps, "pace": pace, "ledger": str(ledger.path), **more}


def marched(steps: int) -> list[str]:
    """Returns the log that such a run must leave."""
    return ["in", *(f"step {number}" for number in range(steps))]


def wait_run(replica: Called, run_id: str) -> runs_pb2.WaitRunResponse:
    """Waits for a run's end on a server."""
    return replica.runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run_id), timeout=PATIENCE)


def attempts(events: list[run_event_pb2.RunEvent]) -> list[int]:
    """Returns the attempts that the events tell of, after the first."""
    return [e.attempt for e in events if e.WhichOneof("event") == "attempt_started"]


def customs(events: list[run_event_pb2.RunEvent]) -> list[int]:
    """Returns the steps that have announced themselves."""
    return [value(e.custom.data)["step"] for e in events if e.WhichOneof("event") == "custom"]


def begin(
    replica: Called, gate: Gate, ledger: Ledger, *, steps: int, halt: int, **more: Any
) -> Reader:
    """Starts a march on a server, and waits until it waits in a step."""
    given = march(ledger, steps=steps, halt=halt, path=str(gate.path), **more)
    reader = Reader.stream(replica, assistant_id="march", input=payload(given), stream_modes=MODES)
    gate.wait_begun()
    until(lambda: halt in customs(reader.events), "the last event before the gate")
    return reader
