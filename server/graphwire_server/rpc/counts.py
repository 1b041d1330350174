"""How many items the lists and maps of a request may have; found out before it is decoded.

An item of two bytes takes hundreds when it is decoded, and some microseconds of each check that
walks over it. So a request is read level by level first, by message types to which everything
inside is bytes: that costs little whatever is in it, and one goes deeper only where the count is
right.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from graphwire import errors
from graphwire.v1 import assistants_pb2, runs_pb2, server_pb2, threads_pb2
from graphwire.v1.payload_pb2 import Payload

from graphwire_server.runs.adding_up import MAX_RUN_BREAKPOINTS
from graphwire_server.runs.batch import place_of

MAX_BATCH = 100
MAX_BREAKPOINTS = 100
MAX_TAGS = 100
MAX_IDS = 1000
#: What a graph or a state has many of: nodes, steps, answers, calls of tools.
_MAX_PARTS_OF_A_GRAPH = 1000
#: The values of an enum, however often.
_MAX_ENUMS = 100
_MAX_DEPTH = 100
_MAX_EXTRACTS = 10
_MAX_MASK = 100

#: The most items of each list and map that a request can have, by the field's full name.
MOST: Mapping[str, int] = {
    "google.protobuf.FieldMask.paths": _MAX_MASK,
    "graphwire.v1.AddRunBreakpointsRequest.breakpoints": MAX_BREAKPOINTS,
    "graphwire.v1.BreakpointList.breakpoints": MAX_BREAKPOINTS,
    "graphwire.v1.CancelRunsRequest.run_ids": MAX_IDS,
    "graphwire.v1.CancelRunsRequest.statuses": _MAX_ENUMS,
    "graphwire.v1.Command.goto": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.NodeCommand.goto": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.CreateAssistantRequest.breakpoints": MAX_BREAKPOINTS,
    "graphwire.v1.CreateRunRequest.breakpoints": MAX_BREAKPOINTS,
    "graphwire.v1.CreateRunRequest.interrupt_after": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.CreateRunRequest.interrupt_before": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.CreateRunRequest.stream_modes": _MAX_ENUMS,
    "graphwire.v1.CreateRunsRequest.requests": MAX_BATCH,
    "graphwire.v1.CreateThreadRequest.breakpoints": MAX_BREAKPOINTS,
    "graphwire.v1.CreateThreadRequest.supersteps": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.GetThreadStateRequest.namespace": _MAX_DEPTH,
    "graphwire.v1.ListRunsRequest.statuses": _MAX_ENUMS,
    "graphwire.v1.ListThreadHistoryRequest.namespace": _MAX_DEPTH,
    "graphwire.v1.ListThreadsRequest.extract": _MAX_EXTRACTS,
    "graphwire.v1.PauseFilter.kinds": _MAX_ENUMS,
    "graphwire.v1.PauseFilter.statuses": _MAX_ENUMS,
    "graphwire.v1.PruneThreadsRequest.thread_ids": MAX_IDS,
    "graphwire.v1.RemoveRunBreakpointsRequest.breakpoint_ids": MAX_RUN_BREAKPOINTS,
    "graphwire.v1.Resume.answers": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.Resume.pause_ids": MAX_IDS,
    "graphwire.v1.Resume.reviews": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.Review.tool_calls": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.RunConfig.tags": MAX_TAGS,
    "graphwire.v1.StreamRunRequest.breakpoints": MAX_BREAKPOINTS,
    "graphwire.v1.StreamRunRequest.interrupt_after": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.StreamRunRequest.interrupt_before": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.StreamRunRequest.stream_modes": _MAX_ENUMS,
    "graphwire.v1.Superstep.updates": _MAX_PARTS_OF_A_GRAPH,
    "graphwire.v1.ThreadFilter.statuses": _MAX_ENUMS,
    "graphwire.v1.ThreadFilter.thread_ids": MAX_IDS,
    "graphwire.v1.UpdateThreadStateRequest.namespace": _MAX_DEPTH,
    "graphwire.v1.WatchThreadsRequest.kinds": _MAX_ENUMS,
}
#: The most items of all lists and maps of one request together.
MAX_ITEMS = 20_000
#: In how many pieces a message may come, of which decoders make one; almost all come in one.
_MAX_PIECES = 100

#: What each RPC takes, by its full name.
REQUESTS: Mapping[str, Descriptor] = {
    f"/{service.full_name}/{method.name}": method.input_type
    for module in (assistants_pb2, runs_pb2, server_pb2, threads_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def check_counts(kind: Descriptor, data: bytes) -> None:
    """Refuses a request, not decoded, in which a list or a map has too many items.

    The values of payloads are not looked at here: see `payloads.check_values`.

    Raises:
        InvalidFieldError: One has; it names the field, how many there are, and how many may be.
        DecodeError: It can't be decoded.
    """
    _Counting().look(kind, data, "")


class _Counting:
    """Counts the items of one request."""

    def __init__(self) -> None:
        self._items = 0

    def look(self, kind: Descriptor, data: bytes, path: str) -> None:
        """Counts what is in a message at a path, which is "" or ends in a dot."""
        level = _level(kind)
        if level is None:
            return
        message = level.type.FromString(data)
        for part in level.parts:
            count = len(getattr(message, part.name))
            if count > part.most:
                what = "items" if part.is_list else "pieces"
                raise _too_many(f"{path}{part.name}", f"has {count} {what}", part.most)
            if part.is_list:
                self._items += count
        if self._items > MAX_ITEMS:
            what = f"brings the items of all lists and maps of the request to {self._items}"
            raise _too_many(path.rstrip("."), what, MAX_ITEMS)
        for part in level.parts:
            if part.inner is not None:
                for place, content in _contents(part, getattr(message, part.name)):
                    self.look(part.inner, content, f"{path}{place}.")


@dataclass(frozen=True, slots=True)
class _Part:
    """A field of a message that is a list or a map, or a message in which there may be some.

    Attributes:
        name: Its name.
        most: How many of it there may be.
        is_list: Whether it is a list or a map.
        inner: What is to be looked at in each; None: nothing.
        entry: Of a map whose values are to be looked at, a class for its entries.
    """

    name: str
    most: int
    is_list: bool
    inner: Descriptor | None
    entry: type[Message] | None


@dataclass(frozen=True, slots=True)
class _Level:
    """A message type, of which only those parts are read that have to be counted.

    Attributes:
        type: A class that reads them, each as a list of numbers or bytes.
        parts: The parts.
    """

    type: type[Message]
    parts: tuple[_Part, ...]


def _contents(part: _Part, values: Any) -> Iterator[tuple[str, bytes]]:
    """Yields what is in a part, with the place of each."""
    if not part.is_list:
        if values:
            # Decoders make one message of several.
            yield part.name, values[0] if len(values) == 1 else b"".join(values)
    elif part.entry is None:
        for index, value in enumerate(values):
            yield f"{part.name}[{index}]", value
    else:
        for value in values:
            entry: Any = part.entry.FromString(value)
            yield f"{part.name}[{entry.key.decode(errors='replace')}]", b"".join(entry.value)


def _too_many(field: str, what: str, most: int) -> errors.InvalidFieldError:
    return errors.InvalidFieldError(
        f"{what}; at most {most} are allowed", field=field, metadata=place_of(field)
    )


@functools.cache
def _level(kind: Descriptor) -> _Level | None:
    """Returns how to read a message type; None if there is nothing in it to count."""
    fields = [field for field in kind.fields if field.is_repeated or _inner(field) is not None]
    if not fields:
        return None
    return _Level(
        _class({field.name: (field.number, _read_as(field), True) for field in fields}),
        tuple(_part(field) for field in fields),
    )


def _part(field: FieldDescriptor) -> _Part:
    inner = _inner(field)
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    return _Part(
        name=field.name,
        most=MOST[field.full_name] if field.is_repeated else _MAX_PIECES,
        is_list=field.is_repeated,
        inner=inner,
        entry=_entry() if is_map and inner is not None else None,
    )


def _inner(field: FieldDescriptor) -> Descriptor | None:
    """Returns the message type in a field, or in the values of a map, if it has lists in it."""
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        kind = kind.fields_by_name["value"].message_type
    if kind is None or kind is Payload.DESCRIPTOR:
        return None
    return kind if _level(kind) is not None else None


def _read_as(field: FieldDescriptor) -> int:
    """Returns as what to read a field: nothing is decoded in it, and nothing is refused."""
    if field.message_type is not None or field.type == FieldDescriptor.TYPE_STRING:
        return FieldDescriptor.TYPE_BYTES
    return FieldDescriptor.TYPE_INT32 if field.enum_type is not None else field.type


@functools.cache
def _entry() -> type[Message]:
    as_bytes = FieldDescriptor.TYPE_BYTES
    return _class({"key": (1, as_bytes, False), "value": (2, as_bytes, True)})


def _class(fields: Mapping[str, tuple[int, int, bool]]) -> type[Message]:
    """Returns a class for messages with fields of (number, type, whether it is a list).

    Other fields are skipped.
    """
    file = FileDescriptorProto(name="counts.proto", package="counts", syntax="proto2")
    message = file.message_type.add(name="Level")
    repeated, optional = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.LABEL_OPTIONAL
    for name, (number, type_, is_list) in fields.items():
        field = message.field.add(name=name, number=number)
        field.label = repeated if is_list else optional
        field.type = FieldDescriptorProto.Type.ValueType(type_)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("counts.Level"))
