"""A server that answers as a test says, and a proxy whose connections can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from graphwire import errors
from graphwire.v1 import assistants_pb2, runs_pb2, server_pb2, threads_pb2
from graphwire_server.rpc.errors import wire_status

#: Answers one call: returns a response, or iterates over responses, or aborts.
Answer = Callable[[Any, grpc.ServicerContext], Any]


@dataclass
class Received:
    """A call that the server has received.

    Attributes:
        method: The RPC's name, such as `GetThread`.
        request: Its request.
        metadata: Its metadata.
        ended: Set when the call is over, for whatever reason.
        time_remaining: Its deadline in seconds; None: none.
    """

    method: str
    request: Any
    metadata: dict[str, str | bytes]
    ended: threading.Event
    time_remaining: float | None


class ScriptedServer:
    """A real gRPC server on a real socket, with threads instead of an event loop."""

    def __init__(self) -> None:
        """Starts it on a free port of this machine."""
        self.calls: list[Received] = []
        self._script: dict[str, list[Answer]] = {}
        self._arrived = threading.Condition()
        self._start(0)

    def _start(self, port: int, credentials: grpc.ServerCredentials | None = None) -> None:
        self._grpc = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        for file in (threads_pb2, runs_pb2, assistants_pb2, server_pb2):
            for service in file.DESCRIPTOR.services_by_name.values():
                handlers = {m.name: self._handler(m) for m in service.methods}
                self._grpc.add_generic_rpc_handlers(
                    (grpc.method_handlers_generic_handler(service.full_name, handlers),)
                )
        health: dict[str, grpc.RpcMethodHandler[Any, Any]]
        health = {"Check": grpc.unary_unary_rpc_method_handler(self._unary("Check"))}
        self._grpc.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),)
        )
        address = f"127.0.0.1:{port}"
        self.port = (
            self._grpc.add_insecure_port(address)
            if credentials is None
            else self._grpc.add_secure_port(address, credentials)
        )
        self._grpc.start()

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def on(self, method: str, *answers: Answer | Message) -> None:
        """Says how the next calls of a method are answered; the last answer repeats."""
        self._script[method] = [
            answer if not isinstance(answer, Message) else reply(answer) for answer in answers
        ]

    def requests(self, method: str) -> list[Any]:
        """Returns the requests of a method so far."""
        return [call.request for call in self.calls if call.method == method]

    async def arrival(self, method: str, count: int = 1) -> Received:
        """Waits until a method has been called `count` times; returns the last of these."""
        return await asyncio.to_thread(self._wait_for, method, count)

    def stop(self) -> None:
        """Stops at once: what is under way breaks off."""
        self._grpc.stop(None).wait()

    def restart(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Stops, and starts again on the same port."""
        self.stop()
        self._start(self.port, credentials)

    def _wait_for(self, method: str, count: int) -> Received:
        def found() -> list[Received]:
            return [call for call in self.calls if call.method == method]

        with self._arrived:
            assert self._arrived.wait_for(lambda: len(found()) >= count, timeout=20)
            return found()[count - 1]

    def _handler(self, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
        codec: dict[str, Any] = {
            "request_deserializer": GetMessageClass(method.input_type).FromString,
            "response_serializer": GetMessageClass(method.output_type).SerializeToString,
        }
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(method.name), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(method.name), **codec)

    def _unary(self, method: str) -> Answer:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            return self._next(method, request, context)(request, context)

        return answer

    def _streaming(self, method: str) -> Answer:
        def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield from self._next(method, request, context)(request, context)

        return answer

    def _next(self, method: str, request: Any, context: grpc.ServicerContext) -> Answer:
        ended = threading.Event()
        if not context.add_callback(ended.set):
            ended.set()
        metadata = dict(context.invocation_metadata())
        remaining: float | None = context.time_remaining()
        if remaining and remaining > 1e9:  # how gRPC says that there is none
            remaining = None
        with self._arrived:
            self.calls.append(Received(method, request, metadata, ended, remaining))
            self._arrived.notify_all()
        answers = self._script[method]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def reply(response: Message) -> Answer:
    """Answers with a response."""
    return lambda _request, _context: response


def refuse(error: errors.GraphwireError) -> Answer:
    """Answers with an error as a Graphwire server writes it."""

    def answer(_request: Any, context: grpc.ServicerContext) -> NoReturn:
        status = wire_status(error)
        context.set_trailing_metadata(status.trailers)
        context.abort(status.code, status.text)

    return answer


def fail(code: grpc.StatusCode, text: str = "") -> Answer:
    """Answers with a bare status, as something between client and server would."""
    return lambda _request, context: context.abort(code, text)


def then(responses: Iterable[Message], last: Answer | None = None) -> Answer:
    """Answers a stream with responses, and goes on with `last`."""

    def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from responses
        if last is not None:
            last(request, context)

    return answer


def ended_at(sequence: int) -> Answer:
    """Ends a stream as a server does that has come to the run's last event."""
    trailers = (("graphwire-end-sequence", str(sequence)),)
    return lambda _request, context: context.set_trailing_metadata(trailers)


def stay_open(_request: Any, context: grpc.ServicerContext) -> Any:
    """Never answers: waits until the call is over."""
    ended = threading.Event()
    if context.add_callback(ended.set):
        assert ended.wait(timeout=20)


def unavailable(_request: Any, context: grpc.ServicerContext) -> NoReturn:
    """Answers as a server does that goes away."""
    context.abort(grpc.StatusCode.UNAVAILABLE, "going away")


class Proxy:
    """Passes bytes on to a port of this machine, until it cuts its connections."""

    def __init__(self, port: int) -> None:
        """Listens on a free port of this machine."""
        self._upstream = port
        self._pairs: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Breaks all connections, as a network does."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for end in pairs:
            _close(end)

    def close(self) -> None:
        """Stops listening, and breaks all connections."""
        _close(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(timeout=20)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                return
            with self._lock:
                self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                thread = threading.Thread(target=_pass_on, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    except OSError:
        pass
    finally:
        _close(source)
        _close(sink)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
