"""A server that wants to know who calls, and its callers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from graphwire.v1 import run_event_pb2, runs_pb2, threads_pb2, threads_pb2_grpc

from tests.e2e import wire
from tests.e2e.drive import payload, refusal_of
from tests.servers import ServerProcess

PROJECT = Path(__file__).parent / "project"
#: The callers of the server with service tokens: (principal, owner, permissions).
CALLERS = (
    ("ada", "", ()),
    ("bob", "", ()),
    ("carl", "team", ()),
    ("cora", "team", ()),
    ("anna", "", ("assistants:write",)),
    ("boss", "", ("threads:all", "assistants:write")),
)


def write_tokens(path: Path) -> None:
    """Writes the tokens of `CALLERS`; each is its principal's name with "-token"."""
    lines = []
    for principal, owner, permissions in CALLERS:
        digest = hashlib.sha256(f"{principal}-token".encode()).hexdigest()
        lines += [f"[{principal}]", f'token_sha256 = "{digest}"']
        lines += [f'owner = "{owner}"'] if owner else []
        lines += [f"permissions = {list(permissions)}".replace("'", '"')] if permissions else []
    path.write_text("\n".join(lines) + "\n")


class Guest:
    """Somebody who calls a server with his token.

    Attributes:
        name: Who.
        channel: A channel to the server.
        metadata: What his calls bring along.
    """

    def __init__(self, process: ServerProcess, name: str, token: str | None = "") -> None:
        """Takes who it is; the token is made of the name unless given, None for none."""
        self.name = name
        self.channel = grpc.insecure_channel(process.address, [("grpc.enable_http_proxy", 0)])
        token = f"{name}-token" if token == "" else token
        self.metadata: list[tuple[str, str | bytes]] = []
        if token is not None:
            self.metadata.append(("authorization", f"Bearer {token}"))

    def call(self, rpc: str, request: Message | None = None, /, **fields: Any) -> Any:
        """Calls an RPC; returns its response, of a stream all of them."""
        if request is None:
            request = wire.request_type(rpc)(**fields)
        found = wire.call(self.channel, rpc, request, self.metadata)
        return found if wire.METHODS[wire.PATHS[rpc]].server_streaming else found[0]

    def refusal(
        self, rpc: str, request: Message | None = None, /, **fields: Any
    ) -> tuple[str, str, str]:
        """Calls an RPC that must be refused; returns code, reason and text."""
        try:
            found = self.call(rpc, request, **fields)
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            return refusal.code, refusal.reason, refusal.text
        raise AssertionError(f"{rpc} was not refused: {found}")

    def watch(self, **fields: Any) -> Any:
        """Watches threads; returns the call, to be iterated and cancelled."""
        stub = threads_pb2_grpc.ThreadsStub(self.channel)
        request = threads_pb2.WatchThreadsRequest(**fields)
        return stub.WatchThreads(request, metadata=tuple(self.metadata), timeout=60)

    def new_thread(self, **fields: Any) -> str:
        """Makes a thread and returns its id."""
        thread_id: str = self.call("CreateThread", **fields).thread.thread_id
        return thread_id

    def run(self, thread_id: str = "", **fields: Any) -> list[run_event_pb2.RunEvent]:
        """Runs the graph to its end or pause, and returns the events."""
        fields.setdefault("input", payload({"log": ["in"]}))
        fields.setdefault("assistant_id", "two")
        request = runs_pb2.StreamRunRequest(thread_id=thread_id, **fields)
        return [response.event for response in self.call("StreamRun", request)]

    def close(self) -> None:
        """Closes the channel."""
        self.channel.close()


#: Makes callers, by name.
Guests = Callable[..., Guest]


@contextmanager
def serving(
    folder: Path, project: Path = PROJECT, *, env: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A server of a project, with a database in the folder; in the end it must stop in order."""
    process = ServerProcess(folder / "graphwire.db", project, env=env).start()
    yield process
    assert process.stop() == 0, process.log


@contextmanager
def guests_of(process: ServerProcess) -> Iterator[Guests]:
    """Makes callers of a server, by name, and closes their channels in the end."""
    with ExitStack() as stack:
        yield lambda name, **more: stack.enter_context(closing(Guest(process, name, **more)))
