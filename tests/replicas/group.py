"""Servers with several workers, for the tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
from graphwire.v1 import runs_pb2_grpc

from tests.e2e.drive import create, payload, value
from tests.e2e.gates import until
from tests.replicas.replica import LEASE, PROJECT, wait_run
from tests.servers import ServerProcess

#: How many workers a group has.
WORKERS = 2


class Group(ServerProcess):
    """A server with several workers."""

    def __init__(
        self, database: str, project: Path = PROJECT, *, env: Mapping[str, str] | None = None
    ) -> None:
        own = {"GRAPHWIRE_WORKERS": str(WORKERS), "GRAPHWIRE_LEASE_SECONDS": str(LEASE)}
        super().__init__(database, project, env={**own, **(env or {})})

    @property
    def workers(self) -> set[int]:
        """The processes of its workers."""
        return children(self.pid)


class Connection:
    """A connection of its own to a group, and thus to one of its workers."""

    def __init__(self, group: Group) -> None:
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(group.address, options)
        self.runs = runs_pb2_grpc.RunsStub(self.channel)
        result = wait_run(
            self, create(self.runs, assistant_id="march", input=payload({"steps": 1})).run_id
        )
        #: The process that it leads to.
        self.pid: int = value(result.values)["pids"][0]


@contextmanager
def connections(group: Group, workers: int = WORKERS) -> Iterator[list[Connection]]:
    """Connects again and again, until so many workers are reached; yields one for each."""
    made: dict[int, Connection] = {}

    def reached() -> bool:
        connection = Connection(group)
        if connection.pid in made:
            connection.channel.close()
        else:
            made[connection.pid] = connection
        return len(made) == workers

    try:
        until(reached, "each worker gets connections")
        yield list(made.values())
    finally:
        for connection in made.values():
            connection.channel.close()


def children(pid: int) -> set[int]:
    """Returns the processes that a process has started and that are there."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return {int(line) for line in found.stdout.split()}


def is_there(pid: int) -> bool:
    """Returns whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
