"""Server reflection: tools such as grpcurl learn the contract from the server itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import text_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from graphwire.v1 import (
    assistants_pb2,
    error_reason_pb2,
    runs_pb2,
    server_pb2,
    threads_pb2,
)
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from graphwire_server.rpc.descriptors import file_protos

_V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
_V1 = "grpc.reflection.v1.ServerReflection"

# What can be described: no more than we serve, whatever a project's own code has imported.
# Error details and reasons are no part of any request, but tools show them as text.
_DESCRIBED = (
    assistants_pb2.DESCRIPTOR,
    runs_pb2.DESCRIPTOR,
    server_pb2.DESCRIPTOR,
    threads_pb2.DESCRIPTOR,
    error_reason_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
)


def add_reflection(
    server: grpc.aio.Server, services: Sequence[str], files: Sequence[FileDescriptor] = ()
) -> None:
    """Adds reflection, v1 and v1alpha, for services and for itself.

    `files` are described besides those of our own services.
    """
    pool = _WithMethods(_pool((*_DESCRIBED, *files)))
    servicer = ReflectionServicer((*services, _V1ALPHA, _V1), pool=pool)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    # grpcio ships v1alpha only. The messages of v1 are the same, by another name.
    handler: Any = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_V1, {"ServerReflectionInfo": handler}),)
    )


class _WithMethods:
    """A pool that finds methods by name, too; protobuf's own knows no file of theirs."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def _pool(described: Sequence[FileDescriptor]) -> DescriptorPool:
    pool = DescriptorPool()
    for file in file_protos(described):
        pool.Add(file)
        if file.name == reflection_pb2.DESCRIPTOR.name:
            as_v1 = text_format.MessageToString(file).replace("v1alpha", "v1")
            pool.Add(text_format.Parse(as_v1, FileDescriptorProto()))
    return pool
