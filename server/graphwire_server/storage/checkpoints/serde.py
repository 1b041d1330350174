"""How values become bytes: by LangGraph's serializer, which is told what it may trust."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

#: The serializer's word for what it encodes itself, which is nearly everything.
MSGPACK = "msgpack"

TypeName = tuple[str, ...]


class UnserializableError(TypeError):
    """A value can't be kept in a checkpoint: the text names its channel and its type."""


def make_serializer(types: Iterable[TypeName] = ()) -> JsonPlusSerializer:
    """Makes a serializer that reconstructs LangGraph's own safe types, and what is named here.

    Objects of any other type are read as the plain data that they were written as (a dict of
    their fields, the value of an enum), with a warning in the log; nothing is imported for them.

    Args:
        types: (module, name) of each further type.
    """
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=tuple(types))


def dumps(serde: SerializerProtocol, channel: str, value: Any) -> tuple[str, bytes]:
    """Returns a value's tag and bytes.

    Raises:
        UnserializableError: It, or something in it, can't be encoded.
    """
    try:
        return serde.dumps_typed(value)
    except Exception as error:
        kind = type(value)
        raise UnserializableError(
            f"channel {channel!r} can't be kept in a checkpoint: its value, of type "
            f"{kind.__module__}.{kind.__qualname__}, is not serializable: {error}"
        ) from error
