"""Message types as they would be without their oneofs.

Decoding keeps the last field of a oneof and silently drops those before it. Decoded by such
a type, a message shows all that it brought.
"""

from __future__ import annotations

import functools

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from graphwire_server.rpc.descriptors import file_protos

_OURS = "graphwire."


@functools.cache
def has_oneofs(kind: Descriptor) -> bool:
    """Says whether there is a oneof in a message type of the contract, or in one inside it."""
    if not kind.full_name.startswith(_OURS):
        return False
    inner = (field.message_type for field in kind.fields)
    return bool(kind.oneofs) or any(has_oneofs(child) for child in inner if child is not None)


@functools.cache
def without_oneofs(kind: Descriptor) -> type[Message]:
    """Returns a class for messages of this type whose fields do not exclude each other."""
    pool = DescriptorPool()
    for file in file_protos([kind.file]):
        if file.package.startswith(_OURS):
            file.syntax = "proto2"  # in which every field says whether it was set
            for message in file.message_type:
                _free(message)
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(kind.full_name))


def _free(message: DescriptorProto) -> None:
    del message.oneof_decl[:]
    for field in message.field:
        field.ClearField("oneof_index")
        field.ClearField("proto3_optional")
    for nested in message.nested_type:
        _free(nested)
