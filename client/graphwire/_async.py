"""The client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from graphwire import _assistants, _pauses, _runs, _server, _threads
from graphwire._async_transport import AsyncFollowStream, AsyncRunStream, AsyncTransport
from graphwire._base import BaseClient
from graphwire._calls import Call, Page, Stream
from graphwire._following import Follow
from graphwire._lift import present
from graphwire._settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class _Group:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport


Awaited = Callable[Concatenate[_Group, P], Coroutine[Any, Any, T]]


def _unary(operation: Callable[P, Call[T]]) -> Awaited[P, T]:
    async def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await group._transport.unary(operation(*args, **kwargs))

    return present(method, operation)


def _two_calls(operation: Callable[P, Call[Call[T]]]) -> Awaited[P, T]:
    async def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        transport = group._transport
        return await transport.unary(await transport.unary(operation(*args, **kwargs)))

    return present(method, operation)


def _pages(
    operation: Callable[P, Call[Page[T]]],
) -> Callable[Concatenate[_Group, P], AsyncIterator[T]]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return group._transport.pages(operation(*args, **kwargs))

    return present(method, operation)


def _stream(
    operation: Callable[P, Stream],
) -> Callable[Concatenate[_Group, P], AsyncRunStream]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> AsyncRunStream:
        return AsyncRunStream(group._transport, operation(*args, **kwargs))

    return present(method, operation)


def _follow(
    operation: Callable[P, Follow[T]],
) -> Callable[Concatenate[_Group, P], AsyncFollowStream[T]]:
    def method(group: _Group, /, *args: P.args, **kwargs: P.kwargs) -> AsyncFollowStream[T]:
        return AsyncFollowStream(group._transport, operation(*args, **kwargs))

    return present(method, operation)


class AsyncThreads(_Group):
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


class AsyncRuns(_Group):
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


class AsyncPauses(_Group):
    """The pauses of all threads, the inbox of whoever approves: `client.pauses`."""

    list = _pages(_pauses.list_pauses)
    get = _unary(_pauses.get_pause)


class AsyncAssistants(_Group):
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


class AsyncServer(_Group):
    """The server itself: `client.server`."""

    info = _unary(_server.get_server_info)


class AsyncClient(BaseClient[grpc.aio.Channel], _Group):
    """A client of a Graphwire server, for asyncio.

    async with AsyncClient() as client:
        thread = await client.threads.create()
        async for event in client.runs.stream(thread.thread_id, "agent", input=...):
            ...

    Attributes:
        threads: Create, read, edit, list, follow and delete threads.
        runs: Start, stream, join, await, cancel and list runs.
        pauses: What waits for somebody, and how it was answered.
        assistants: What can be run.
        server: What the server is and can do.
    """

    threads: AsyncThreads
    runs: AsyncRuns
    pauses: AsyncPauses
    assistants: AsyncAssistants
    server: AsyncServer

    health = _unary(_server.check_health)

    def _connect(self, settings: Settings, channel: grpc.aio.Channel | None) -> None:
        self._transport = AsyncTransport(settings, channel)
        self.threads = AsyncThreads(self._transport)
        self.runs = AsyncRuns(self._transport)
        self.pauses = AsyncPauses(self._transport)
        self.assistants = AsyncAssistants(self._transport)
        self.server = AsyncServer(self._transport)

    async def close(self) -> None:
        """Closes the connection; what is under way ends with `CallCancelledError`."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        """Returns the client."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the client."""
        await self.close()
