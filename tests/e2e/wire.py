"""Calls any RPC of the contract by its descriptor, also with bytes made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from graphwire.v1 import assistants_pb2, runs_pb2, server_pb2, threads_pb2

from tests.e2e.drive import DEADLINE

_FILES = (assistants_pb2, runs_pb2, server_pb2, threads_pb2)

#: Every RPC of the contract, by its path: "/graphwire.v1.Runs/StreamRun".
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

#: The same by name alone: "StreamRun".
PATHS = {method.name: path for path, method in METHODS.items()}

#: The streams that stay open until the caller ends them.
ENDLESS = ("JoinThread", "WatchThreads")

Metadata = Sequence[tuple[str, str | bytes]]


def request_type(name: str) -> type[Message]:
    """The class of an RPC's requests."""
    return GetMessageClass(METHODS[PATHS[name]].input_type)


def call(
    channel: grpc.Channel,
    name: str,
    request: Message | bytes,
    metadata: Metadata = (),
    timeout: float = DEADLINE,
) -> list[Any]:
    """Calls an RPC, and returns the response, or those of the stream, in a list.

    Of a stream that has no end it is the first response, without its time.
    """
    method = METHODS[PATHS[name]]
    connect: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    callable_ = connect(
        PATHS[name],
        request_serializer=None,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    data = request if isinstance(request, bytes) else request.SerializeToString()
    answer = callable_(data, timeout=timeout, metadata=tuple(metadata))
    if name in ENDLESS:
        first = next(answer)
        answer.cancel()
        holder = first.event if name == "JoinThread" else first
        holder.ClearField("event_time" if name == "JoinThread" else "time")
        return [first]
    return list(answer) if method.server_streaming else [answer]
