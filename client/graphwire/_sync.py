"""The client for code without an event loop. It may be shared by threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import grpc

from graphwire import _assistants, _pauses, _runs, _server, _threads
from graphwire._base import BaseClient
from graphwire._calls import Call, Page, Stream
from graphwire._following import Follow
from graphwire._lift import present
from graphwire._settings import Settings
from graphwire._sync_transport import FollowStream, RunStream, SyncTransport

P = ParamSpec("P")
T = TypeVar("T")


class _Group:
    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport


Method = Callable[Concatenate[_Group, P], T]


def _unary(operation: Callable[P, Call[T]]) -> Method[P, T]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return group._transport.unary(operation(*args, **kwargs))

    return present(method, operation)


def _two_calls(operation: Callable[P, Call[Call[T]]]) -> Method[P, T]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        transport = group._transport
        return transport.unary(transport.unary(operation(*args, **kwargs)))

    return present(method, operation)


def _pages(operation: Callable[P, Call[Page[T]]]) -> Method[P, Iterator[T]]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return group._transport.pages(operation(*args, **kwargs))

    return present(method, operation)


def _stream(operation: Callable[P, Stream]) -> Method[P, RunStream]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> RunStream:
        return RunStream(group._transport, operation(*args, **kwargs))

    return present(method, operation)


def _follow(
    operation: Callable[P, Follow[T]],
) -> Callable[Concatenate[_Group, P], FollowStream[T]]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> FollowStream[T]:
        return FollowStream(group._transport, operation(*args, **kwargs))

    return present(method, operation)


class Threads(_Group):
    """The threads of a server: `client.threads`."""

    create = _unary(_threads.create_thread)
    get = _unary(_threads.get_thread)
    list = _pages(_threads.list_threads)
    count = _unary(_threads.count_threads)
    update = _unary(_threads.update_thread)
    delete = _unary(_threads.delete_thread)
    copy = _unary(_threads.copy_thread)
    prune = _unary(_threads.prune_threads)
    storage = _unary(_threads.get_thread_storage)
    state = _unary(_threads.get_thread_state)
    update_state = _unary(_threads.update_thread_state)
    history = _pages(_threads.list_thread_history)
    join = _follow(_threads.join_thread)
    watch = _follow(_threads.watch_threads)


class Runs(_Group):
    """The runs of a server: `client.runs`."""

    stream = _stream(_runs.stream_run)
    join = _stream(_runs.join_run)
    create = _unary(_runs.create_run)
    create_many = _unary(_runs.create_runs)
    run = _two_calls(_runs.run_to_end)
    wait = _unary(_runs.wait_run)
    get = _unary(_runs.get_run)
    list = _pages(_runs.list_runs)
    cancel = _unary(_runs.cancel_run)
    pause = _unary(_runs.pause_run)
    breakpoints = _unary(_runs.list_run_breakpoints)
    add_breakpoints = _unary(_runs.add_run_breakpoints)
    remove_breakpoints = _unary(_runs.remove_run_breakpoints)
    cancel_many = _unary(_runs.cancel_runs)
    delete = _unary(_runs.delete_run)


class Pauses(_Group):
    """The pauses of all threads, the inbox of whoever approves: `client.pauses`."""

    list = _pages(_pauses.list_pauses)
    get = _unary(_pauses.get_pause)


class Assistants(_Group):
    """The assistants of a server: `client.assistants`."""

    list = _pages(_assistants.list_assistants)
    get = _unary(_assistants.get_assistant)
    count = _unary(_assistants.count_assistants)
    create = _unary(_assistants.create_assistant)
    update = _unary(_assistants.update_assistant)
    delete = _unary(_assistants.delete_assistant)
    versions = _pages(_assistants.list_assistant_versions)
    set_latest = _unary(_assistants.set_latest_assistant_version)
    graph = _unary(_assistants.get_assistant_graph)
    schemas = _unary(_assistants.get_assistant_schemas)


class Server(_Group):
    """The server itself: `client.server`."""

    info = _unary(_server.get_server_info)


class Client(BaseClient[grpc.Channel], _Group):
    """A client of a Graphwire server, for code without an event loop.

    with Client() as client:
        thread = client.threads.create()
        for event in client.runs.stream(thread.thread_id, "agent", input=...):
            ...

    Attributes:
        threads: Create, read, edit, list, follow and delete threads.
        runs: Start, stream, join, await, cancel and list runs.
        pauses: What waits for somebody, and how it was answered.
        assistants: What can be run.
        server: What the server is and can do.
    """

    threads: Threads
    runs: Runs
    pauses: Pauses
    assistants: Assistants
    server: Server

    health = _unary(_server.check_health)

    def _connect(self, settings: Settings, channel: grpc.Channel | None) -> None:
        self._transport = SyncTransport(settings, channel)
        self.threads = Threads(self._transport)
        self.runs = Runs(self._transport)
        self.pauses = Pauses(self._transport)
        self.assistants = Assistants(self._transport)
        self.server = Server(self._transport)

    def close(self) -> None:
        """Closes the connection; what is under way ends with `CallCancelledError`."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Returns the client."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the client."""
        self.close()
