"""What there is in a server, as seen from outside: memory, descriptors, threads, tasks, calls."""

from __future__ import annotations

import os
from pathlib import Path

from graphwire.v1 import run_pb2, runs_pb2_grpc

from tests.e2e.drive import payload, stream, value


def rss_bytes(pid: int) -> int:
    """Returns the resident memory of a process."""
    return _status(pid, "VmRSS") * 1024


def threads_of(pid: int) -> int:
    """Returns how many threads a process has."""
    return _status(pid, "Threads")


def descriptors_of(pid: int) -> int:
    """Returns how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def census(runs: runs_pb2_grpc.RunsStub) -> dict[str, int]:
    """Returns what there is on the event loop of a server, by a run of the graph `census`.

    `tasks` of asyncio, and of objects that belong to calls that are open: `calls`, `wakes` (a
    reader has one) and `generators`. What belongs to this run and its one stream is in it.
    """
    updates = [run_pb2.STREAM_MODE_UPDATES]
    events = stream(runs, assistant_id="census", input=payload({"log": []}), stream_modes=updates)
    (update,) = [event.updates for event in events if event.HasField("updates")]
    found: dict[str, int] = value(update.update)["found"]
    return found


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0])
    raise LookupError(name)
