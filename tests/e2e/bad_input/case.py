"""One way to be wrong, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.e2e.bad_input.world import World
from tests.e2e.wire import request_type

#: The fields of a request as protobuf's JSON, or how to make them.
Fields = Mapping[str, Any] | Callable[[World], Mapping[str, Any]]


@dataclass(frozen=True)
class Bad:
    """A request that must be refused.

    Attributes:
        rpc: The RPC's name.
        what: What is wrong, for the test's id.
        request: The request's fields, in protobuf's JSON form.
        code: The status to be expected.
        reason: Its reason.
        fields: The paths of the fields that the answer names.
        covers: The path of the field that is wrong, where the answer names none.
        text: What the answer's text must contain.
        metadata: What the answer's ErrorInfo must have, among other things.
    """

    rpc: str
    what: str
    request: Fields
    code: str
    reason: str
    fields: tuple[str, ...] = ()
    covers: str = ""
    text: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def message(self, world: World) -> Message:
        """The request."""
        fields = self.request(world) if callable(self.request) else self.request
        return ParseDict(dict(fields), request_type(self.rpc)())

    @property
    def covered(self) -> set[str]:
        """The paths of the fields that are wrong, without indexes and keys."""
        return {re.sub(r"\[.*?\]", "", path) for path in (*self.fields, self.covers) if path}


def paths(kind: Descriptor, prefix: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    """The fields of a message type of ours, those of the messages within it included.

    Maps and lists are passed through: `resume.answers.json`.
    """
    for member in kind.fields:
        yield f"{prefix}{member.name}", member
        child = value_type(member)
        if child is not None and child.full_name.startswith("graphwire."):
            yield from paths(child, f"{prefix}{member.name}.")


def value_type(member: FieldDescriptor) -> Descriptor | None:
    """The type of the messages in a field, also of a map; None if it holds no messages."""
    kind = member.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return kind.fields_by_name["value"].message_type
    return kind


def at(request: Message, path: str) -> tuple[Message, str]:
    """Makes the messages towards a path; returns the last one, and its path in an answer.

    A list gets an item, a map one at the key `k`.
    """
    message: Any = request
    shown = ""
    for name in path.split(".") if path else ():
        member = message.DESCRIPTOR.fields_by_name[name]
        content = getattr(message, name)
        if member.message_type.GetOptions().map_entry:
            message, shown = content["k"], f"{shown}{name}[k]."
        elif member.is_repeated:
            message, shown = content.add(), f"{shown}{name}[0]."
        else:
            content.SetInParent()
            message, shown = content, f"{shown}{name}."
    return message, shown
