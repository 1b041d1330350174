"""A server with small limits, and what is done to it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from graphwire.v1 import (
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    server_pb2_grpc,
    threads_pb2_grpc,
)

from tests.e2e.drive import DEADLINE, payload
from tests.servers import ServerProcess

PROJECT = Path(__file__).parent / "project"


class Limited:
    """A running server, and its stubs."""

    def __init__(self, process: ServerProcess, channel: grpc.Channel, folder: Path) -> None:
        self.process = process
        self.channel = channel
        self.folder = folder
        self.runs = runs_pb2_grpc.RunsStub(channel)
        self.threads = threads_pb2_grpc.ThreadsStub(channel)
        self.server = server_pb2_grpc.ServerStub(channel)
        self._gates = 0

    @property
    def door(self) -> Path:
        """While it exists, the graph `slow` can't be made."""
        return self.folder / "door"

    def gate(self) -> Path:
        """A file for which a run of `held` waits."""
        self._gates += 1
        return self.folder / f"gate-{self._gates}"

    def create(self, value: Any, assistant: str = "held", **fields: Any) -> run_pb2.Run:
        """Starts a run in the background."""
        request = runs_pb2.CreateRunRequest(assistant_id=assistant, **fields)
        if "resume" not in fields:
            request.input.CopyFrom(payload(value))
        return self.runs.CreateRun(request, timeout=DEADLINE).run

    def hold(self, path: Path, **fields: Any) -> run_pb2.Run:
        """Starts a run that waits for a file."""
        return self.create({"path": str(path)}, **fields)

    def stream(self, value: Any, assistant: str, *modes: str, **how: Any) -> list[Any]:
        """Starts a run and returns all its events."""
        request = runs_pb2.StreamRunRequest(
            assistant_id=assistant,
            input=payload(value),
            stream_modes=[run_pb2.StreamMode.Value(f"STREAM_MODE_{mode}") for mode in modes],
        )
        return [each.event for each in self.runs.StreamRun(request, timeout=DEADLINE, **how)]

    def wait(self, run_id: str, **how: Any) -> runs_pb2.WaitRunResponse:
        """Waits for the end of a run."""
        request = runs_pb2.WaitRunRequest(run_id=run_id)
        return self.runs.WaitRun(request, timeout=DEADLINE, **how)

    def status(self, run_id: str) -> str:
        """The status of a run."""
        request = runs_pb2.GetRunRequest(run_id=run_id)
        status = self.runs.GetRun(request, timeout=DEADLINE).run.status
        return run_pb2.RunStatus.Name(status).removeprefix("RUN_STATUS_")

    @contextmanager
    def held(self, *runs: run_pb2.Run, gate: Path) -> Iterator[None]:
        """Lets runs go on after the block, and waits for their end."""
        try:
            yield
        finally:
            gate.touch()
            for run in runs:
                self.wait(run.run_id)


@contextmanager
def limited(folder: Path, **settings: object) -> Iterator[Limited]:
    """A server with some settings."""
    env = {f"GRAPHWIRE_{name.upper()}": str(value) for name, value in settings.items()}
    process = ServerProcess(
        folder / "graphwire.db", PROJECT, env={**env, "LIMITS_DOOR": str(folder / "door")}
    ).start()
    with grpc.insecure_channel(process.address) as channel:
        yield Limited(process, channel, folder)
    assert process.stop() == 0, process.log


def at_once(count: int, work: Any) -> list[Any]:
    """Does something several times at once, and returns what came of each, errors too."""

    def attempt(number: int) -> Any:
        try:
            return work(number)
        except grpc.RpcError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(attempt, range(count)))
