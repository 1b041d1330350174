"""Carries calls out over a `grpc` channel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc

from graphwire._calls import Call, Page, Stream
from graphwire._cursor import Cursor, Openable, Progress, Streamed, Trailers
from graphwire._following import Follow, Followed, Following
from graphwire._settings import Settings
from graphwire._status import client_closed, read_error
from graphwire.errors import GraphwireError
from graphwire.events import Event

T = TypeVar("T")


class _EventCall(Protocol):
    """An open stream; gRPC has no public name for its type."""

    def __next__(self) -> Any: ...

    def cancel(self) -> bool: ...

    def trailing_metadata(self) -> Trailers: ...


class SyncTransport:
    """A channel, and how to call over it."""

    def __init__(self, settings: Settings, channel: grpc.Channel | None) -> None:
        """Takes a channel, or makes one."""
        self.settings = settings
        self._closed = threading.Event()
        self._borrowed = channel is not None
        self._channel = channel if channel is not None else _new_channel(settings)

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._closed.is_set()

    def close(self) -> None:
        """Closes the channel if it is ours; calls that are under way are cancelled."""
        self._closed.set()
        if not self._borrowed:
            self._channel.close()

    def pause(self, seconds: float) -> None:
        """Waits, at the longest until the client is closed."""
        self._closed.wait(seconds)

    def unary(self, call: Call[T]) -> T:
        """Carries out a call, if need be several times."""
        settings, method = self.settings, call.method
        retry = settings.retry(call)
        while True:
            rpc = self.channel().unary_unary(method.path, method.serialize, method.deserialize)
            try:
                response = rpc(
                    call.request, timeout=retry.remaining(), metadata=settings.call_metadata()
                )
            except grpc.RpcError as rpc_error:
                error = client_closed() if self.closed else read_error(rpc_error)
                delay = None if self.closed else retry.delay(error)
                if delay is None:
                    raise error from rpc_error
            else:
                return call.read(response)
            self.pause(delay)

    def pages(self, first: Call[Page[T]]) -> Iterator[T]:
        """Iterates over the items of a list, page by page."""
        following: Call[Page[T]] | None = first
        while following is not None:
            page = self.unary(following)
            yield from page.items
            following = page.following

    def open(self, stream: Openable) -> _EventCall:
        """Opens a stream."""
        method = stream.method
        rpc = self.channel().unary_stream(method.path, method.serialize, method.deserialize)
        return rpc(stream.request, timeout=stream.timeout, metadata=self.settings.call_metadata())

    def channel(self) -> grpc.Channel:
        """Returns the channel.

        Raises:
            RuntimeError: The client is closed.
        """
        if self.closed:
            raise RuntimeError("the client is closed")
        return self._channel


class _SyncStream(Iterator[T]):
    """A stream that goes on across lost connections: iterate over it, once.

    Leaving the loop ends the stream. `close`, or leaving a `with`, does so at once,
    whatever else still refers to it; `close` may be called from another thread.
    """

    _call: _EventCall | None = None

    def __init__(self, transport: SyncTransport, progress: Progress[T]) -> None:
        """Begins a stream; nothing is sent before the first item is asked for."""
        self._transport = transport
        self._progress = progress
        self._closed = False

    def __next__(self) -> T:
        """Returns what comes next."""
        while (item := self._receive()) is None:
            pass
        return item

    def _receive(self) -> T | None:
        """Waits for a response; returns what it says, None if that is not to be shown."""
        progress = self._progress
        while not self._closed:
            cause: grpc.RpcError | None = None
            try:
                call = self._opened()
                return progress.receive(next(call))
            except StopIteration:
                error: GraphwireError = progress.finish(call.trailing_metadata() or ())
            except grpc.RpcError as rpc_error:
                error = client_closed() if self._transport.closed else read_error(rpc_error)
                cause = rpc_error
            if progress.ended or self._closed:
                break
            self._drop_call()
            delay = None if self._transport.closed else progress.delay(error)
            if delay is None:
                self._closed = True
                raise progress.failure(error) from cause
            self._transport.pause(delay)
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Ends the stream. A run goes on, unless it has `on_disconnect=CANCEL`."""
        self._closed = True
        self._drop_call()

    def __enter__(self) -> Self:
        """Returns the stream."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the stream."""
        self.close()

    def __del__(self) -> None:
        """Ends the stream that nobody iterates over any more."""
        self._drop_call()

    def _opened(self) -> _EventCall:
        # `close` may take it away meanwhile, from another thread.
        call = self._call
        if call is None:
            call = self._call = self._transport.open(self._progress.next_call())
        return call

    def _drop_call(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class RunStream(Streamed, _SyncStream[Event]):
    """The events of a run: iterate over it, once; see `runs.stream` for what it raises.

    Leaving the loop ends the stream. `close`, or leaving a `with`, does so at once,
    whatever else still refers to it; `close` may be called from another thread.
    """

    def __init__(self, transport: SyncTransport, stream: Stream) -> None:
        """Begins a stream; nothing is sent before the first event is asked for."""
        cursor = Cursor(stream, transport.settings.rejoin_timeout)
        Streamed.__init__(self, cursor)
        _SyncStream.__init__(self, transport, cursor)


class FollowStream(Followed, _SyncStream[T]):
    """What happens, from `threads.join` or `threads.watch`: iterate over it, once.

    Entering a `with` opens it: what happens from then on is in it. Leaving the loop ends the
    stream. `close`, or leaving a `with`, does so at once, whatever else still refers to it;
    `close` may be called from another thread.
    """

    def __init__(self, transport: SyncTransport, follow: Follow[T]) -> None:
        """Begins a stream; nothing is sent before it is entered, or iterated over."""
        following = Following(follow, transport.settings.rejoin_timeout)
        Followed.__init__(self, following)
        _SyncStream.__init__(self, transport, following)
        self._ahead: T | None = None

    def __enter__(self) -> Self:
        """Waits until the server has opened the stream, and returns it."""
        while not self.cursor:
            self._ahead = self._receive()
        return self

    def __next__(self) -> T:
        """Returns what comes next."""
        ahead, self._ahead = self._ahead, None
        return super().__next__() if ahead is None else ahead


def _new_channel(settings: Settings) -> grpc.Channel:
    options = settings.channel_options()
    if settings.credentials is None:
        return grpc.insecure_channel(settings.target, options)
    return grpc.secure_channel(settings.target, settings.credentials, options)
