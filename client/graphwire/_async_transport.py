"""Carries calls out over a `grpc.aio` channel."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from graphwire._calls import Call, Page, Stream
from graphwire._cursor import Cursor, Openable, Progress, Streamed
from graphwire._following import Follow, Followed, Following
from graphwire._settings import Settings
from graphwire._status import client_closed, read_error
from graphwire.errors import GraphwireError
from graphwire.events import Event

T = TypeVar("T")


class AsyncTransport:
    """A channel, and how to call over it."""

    def __init__(self, settings: Settings, channel: grpc.aio.Channel | None) -> None:
        """Takes a channel, or makes one with the first call (when there is an event loop)."""
        self.settings = settings
        self.closed = False
        self._borrowed = channel is not None
        self._channel = channel
        self._streams = weakref.WeakSet[grpc.aio.UnaryStreamCall[Any, Any]]()

    async def close(self) -> None:
        """Closes the channel if it is ours; calls that are under way are cancelled."""
        self.closed = True
        if self._channel is not None and not self._borrowed:
            # The channels of older versions of grpcio overlook streams that are waited for.
            for stream in tuple(self._streams):
                stream.cancel()
            await self._channel.close()

    async def unary(self, call: Call[T]) -> T:
        """Carries out a call, if need be several times."""
        settings, method = self.settings, call.method
        retry = settings.retry(call)
        while True:
            rpc = self.channel().unary_unary(method.path, method.serialize, method.deserialize)
            try:
                response = await rpc(
                    call.request, timeout=retry.remaining(), metadata=settings.call_metadata()
                )
            except grpc.aio.AioRpcError as rpc_error:
                error = read_error(rpc_error)
                delay = None if self.closed else retry.delay(error)
                if delay is None:
                    raise error from rpc_error
            except asyncio.CancelledError:
                if task_is_cancelled():
                    raise
                raise client_closed() from None
            else:
                return call.read(response)
            await asyncio.sleep(delay)

    async def pages(self, first: Call[Page[T]]) -> AsyncIterator[T]:
        """Iterates over the items of a list, page by page."""
        following: Call[Page[T]] | None = first
        while following is not None:
            page = await self.unary(following)
            for item in page.items:
                yield item
            following = page.following

    def open(self, stream: Openable) -> grpc.aio.UnaryStreamCall[Any, Any]:
        """Opens a stream."""
        method = stream.method
        rpc = self.channel().unary_stream(method.path, method.serialize, method.deserialize)
        opened = rpc(stream.request, timeout=stream.timeout, metadata=self.settings.call_metadata())
        self._streams.add(opened)
        return opened

    def channel(self) -> grpc.aio.Channel:
        """Returns the channel.

        Raises:
            RuntimeError: The client is closed.
        """
        if self.closed:
            raise RuntimeError("the client is closed")
        if self._channel is None:
            settings = self.settings
            options = settings.channel_options()
            self._channel = (
                grpc.aio.insecure_channel(settings.target, options)
                if settings.credentials is None
                else grpc.aio.secure_channel(settings.target, settings.credentials, options)
            )
        return self._channel


class _AsyncStream(AsyncIterator[T]):
    """A stream that goes on across lost connections: iterate over it, once.

    Leaving the loop ends the stream. `aclose`, or leaving an `async with`, does so at
    once, whatever else still refers to it.
    """

    _call: grpc.aio.UnaryStreamCall[Any, Any] | None = None

    def __init__(self, transport: AsyncTransport, progress: Progress[T]) -> None:
        """Begins a stream; nothing is sent before the first item is asked for."""
        self._transport = transport
        self._progress = progress
        self._closed = False

    async def __anext__(self) -> T:
        """Returns what comes next."""
        while (item := await self._receive()) is None:
            pass
        return item

    async def _receive(self) -> T | None:
        """Waits for a response; returns what it says, None if that is not to be shown."""
        progress = self._progress
        while not self._closed:
            cause: grpc.aio.AioRpcError | None = None
            try:
                if self._call is None:
                    self._call = self._transport.open(progress.next_call())
                response: Any = await self._call.read()
                if response is not grpc.aio.EOF:
                    return progress.receive(response)
                error: GraphwireError = progress.finish(await self._call.trailing_metadata() or ())
            except grpc.aio.AioRpcError as rpc_error:
                error, cause = read_error(rpc_error), rpc_error
            except asyncio.CancelledError:
                self._drop_call()
                if task_is_cancelled():
                    raise
                error = client_closed()
            if progress.ended or self._closed:
                break
            self._drop_call()
            delay = None if self._transport.closed else progress.delay(error)
            if delay is None:
                self._closed = True
                raise progress.failure(error) from cause
            await asyncio.sleep(delay)
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends the stream. A run goes on, unless it has `on_disconnect=CANCEL`."""
        self._closed = True
        self._drop_call()

    async def __aenter__(self) -> Self:
        """Returns the stream."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the stream."""
        await self.aclose()

    def __del__(self) -> None:
        """Ends the stream that nobody iterates over any more."""
        self._drop_call()

    def _drop_call(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class AsyncRunStream(Streamed, _AsyncStream[Event]):
    """The events of a run: iterate over it, once; see `runs.stream` for what it raises.

    Leaving the loop ends the stream. `aclose`, or leaving an `async with`, does so at
    once, whatever else still refers to it.
    """

    def __init__(self, transport: AsyncTransport, stream: Stream) -> None:
        """Begins a stream; nothing is sent before the first event is asked for."""
        cursor = Cursor(stream, transport.settings.rejoin_timeout)
        Streamed.__init__(self, cursor)
        _AsyncStream.__init__(self, transport, cursor)


class AsyncFollowStream(Followed, _AsyncStream[T]):
    """What happens, from `threads.join` or `threads.watch`: iterate over it, once.

    Entering an `async with` opens it: what happens from then on is in it. Leaving the loop
    ends the stream. `aclose`, or leaving an `async with`, does so at once, whatever else still
    refers to it.
    """

    def __init__(self, transport: AsyncTransport, follow: Follow[T]) -> None:
        """Begins a stream; nothing is sent before it is entered, or iterated over."""
        following = Following(follow, transport.settings.rejoin_timeout)
        Followed.__init__(self, following)
        _AsyncStream.__init__(self, transport, following)
        self._ahead: T | None = None

    async def __aenter__(self) -> Self:
        """Waits until the server has opened the stream, and returns it."""
        while not self.cursor:
            self._ahead = await self._receive()
        return self

    async def __anext__(self) -> T:
        """Returns what comes next."""
        ahead, self._ahead = self._ahead, None
        return await super().__anext__() if ahead is None else ahead


def task_is_cancelled() -> bool:
    """Whether a CancelledError is meant for this task, not only for its call."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
