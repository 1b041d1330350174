"""Assistants that somebody has made, in plain calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import assistants_pb2_grpc, breakpoint_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import DEADLINE
from tests.e2e.driven import DrivenThread
from tests.servers import ServerProcess

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub
Stub = assistants_pb2_grpc.AssistantsStub

DONE = ("end", "SUCCEEDED")
PAUSED = ("end", "INTERRUPTED")


class Driver:
    """The service, in plain calls."""

    def __init__(self, stub: Stub) -> None:
        """Takes the stub."""
        self.stub = stub

    def create(self, graph_id: str = "linear", **fields: Any) -> pb.Assistant:
        """Creates an assistant."""
        request = pb.CreateAssistantRequest(graph_id=graph_id, **fields)
        return self.stub.CreateAssistant(request, timeout=DEADLINE).assistant

    def update(self, assistant_id: str, **fields: Any) -> pb.Assistant:
        """Changes one."""
        request = pb.UpdateAssistantRequest(assistant_id=assistant_id, **fields)
        return self.stub.UpdateAssistant(request, timeout=DEADLINE).assistant

    def get(self, assistant_id: str) -> pb.Assistant:
        """Returns one."""
        request = pb.GetAssistantRequest(assistant_id=assistant_id)
        return self.stub.GetAssistant(request, timeout=DEADLINE).assistant

    def delete(self, assistant_id: str, *, delete_threads: bool = False) -> None:
        """Deletes one."""
        request = pb.DeleteAssistantRequest(
            assistant_id=assistant_id, delete_threads=delete_threads
        )
        self.stub.DeleteAssistant(request, timeout=DEADLINE)

    def set_latest(self, assistant_id: str, version: int) -> pb.Assistant:
        """Chooses a version."""
        request = pb.SetLatestAssistantVersionRequest(assistant_id=assistant_id, version=version)
        return self.stub.SetLatestAssistantVersion(request, timeout=DEADLINE).assistant

    def versions(self, assistant_id: str, **fields: Any) -> list[pb.Assistant]:
        """Returns its versions, page by page of two."""
        found: list[pb.Assistant] = []
        token = ""
        while True:
            request = pb.ListAssistantVersionsRequest(
                assistant_id=assistant_id, page_size=2, page_token=token, **fields
            )
            page = self.stub.ListAssistantVersions(request, timeout=DEADLINE)
            assert len(page.versions) <= 2
            found += page.versions
            token = page.next_page_token
            if not token:
                return found

    def list(self, *, page_size: int = 2, **fields: Any) -> list[str]:
        """Returns ids of assistants, page by page; they are as many as are counted."""
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListAssistantsRequest(page_size=page_size, page_token=token, **fields)
            page = self.stub.ListAssistants(request, timeout=DEADLINE)
            found += [each.assistant_id for each in page.assistants]
            token = page.next_page_token
            if not token:
                break
        counted = self.stub.CountAssistants(
            pb.CountAssistantsRequest(filter=fields.get("filter")), timeout=DEADLINE
        )
        assert counted.count == len(found)
        return found


@contextmanager
def serving(folder: Path) -> Iterator[grpc.Channel]:
    """A channel to a server of a file's own, on which nobody else makes assistants."""
    server = ServerProcess(folder / "graphwire.db").start()
    with grpc.insecure_channel(server.address) as channel:
        yield channel
    assert server.stop() == 0, server.log


def breakpoint_(node: str, **fields: Any) -> breakpoint_pb2.Breakpoint:
    """A breakpoint before a node."""
    return breakpoint_pb2.Breakpoint(node=node, **fields)


def ran(*nodes: str) -> list[tuple[Any, ...]]:
    """The updates of nodes."""
    return [("updates", node, {"log": [node]}) for node in nodes]


def stubs(channel: grpc.Channel, thread_id: str = "") -> tuple[Driver, DrivenThread]:
    """The assistants of a server, and a thread."""
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    driver = Driver(assistants_pb2_grpc.AssistantsStub(channel))
    return driver, DrivenThread(runs, threads, thread_id)
