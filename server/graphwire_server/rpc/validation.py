"""Checks the fields of requests: each function raises an error that names the field."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any, Protocol

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from graphwire import errors

from graphwire_server.rpc.oneofs import has_oneofs, without_oneofs
from graphwire_server.rpc.tags import first_fields
from graphwire_server.runs.batch import place_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_REQUEST_ID = re.compile(r"[\x20-\x7e]{1,128}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RESERVED_PREFIXES = ("__", "checkpoint_", "langgraph_")
_RESERVED_KEYS = frozenset({"thread_id", "run_id"})
_MAX_NAMED_FIELDS = 10
#: At how many fields that it does not know the server looks to name them, in each message.
_MOST_UNKNOWN = 100

#: The longest id that a caller may choose, in characters: as in the patterns above.
MAX_ID = 128


class _EnumWrapper(Protocol):
    def Name(self, number: Any) -> str: ...  # protobuf's name


def required(value: str, field: str) -> str:
    """Returns a text that must be given."""
    if not value:
        raise errors.MissingFieldError("required", field=field)
    return value


def thread_id(value: str, field: str = "thread_id") -> str:
    """Returns the id of a thread, which must be given."""
    return optional_thread_id(required(value, field), field)


def optional_thread_id(value: str, field: str = "thread_id") -> str:
    """Returns the id of a thread, or ""."""
    return optional_name(value, field)


def is_name(value: str) -> bool:
    """Says whether a text can be an id that a caller has chosen."""
    return _NAME.fullmatch(value) is not None


def optional_name(value: str, field: str) -> str:
    """Returns an id that the caller may choose, or ""."""
    if value and not is_name(value):
        raise errors.InvalidFieldError(
            "must be 1 to 128 letters, digits and -_.: and begin with a letter or digit",
            field=field,
        )
    return value


def run_id(value: str, field: str = "run_id") -> str:
    """Returns the id of a run, which must be given, as the server writes it."""
    return optional_uuid(required(value, field), field)


def optional_uuid(value: str, field: str) -> str:
    """Returns a UUID as the server writes it, or ""."""
    if value and not _UUID.fullmatch(value):
        what = f"must be a UUID such as {uuid.UUID(int=0)}, not {value[:100]!r}"
        raise errors.InvalidFieldError(what, field=field)
    return value.lower()


def text(value: str, field: str, *, most: int) -> str:
    """Returns a text of at most so many characters."""
    if len(value) > most:
        what = f"has {len(value)} characters; at most {most} are allowed"
        raise errors.InvalidFieldError(what, field=field)
    return value


def line(value: str, field: str, *, most: int) -> str:
    """Returns a text of at most so many characters, none of which is a control character."""
    text(value, field, most=most)
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise errors.InvalidFieldError("must have no control characters", field=field)
    return value


def request_id(value: str) -> str:
    """Returns a request_id, or ""."""
    if value and not _REQUEST_ID.fullmatch(value):
        raise errors.InvalidFieldError(
            "must be 1 to 128 printable ASCII characters", field="request_id"
        )
    return value


def duration(value: Duration, field: str, *, most: timedelta, words: str) -> int:
    """Returns a duration in microseconds, of which a part counts as a whole one.

    Args:
        value: The duration.
        field: Its field.
        most: The longest that is allowed; the shortest is 0.
        words: What is allowed, in words.
    """
    nanos = value.seconds * 10**9 + value.nanos
    if not 0 <= value.nanos < 10**9 or not 0 <= nanos <= most // timedelta(microseconds=1) * 1000:
        raise errors.InvalidFieldError(f"must be {words}", field=field)
    return -(-nanos // 1000)


def instant(value: Timestamp, field: str) -> int:
    """Returns a time as microseconds since 1970, UTC."""
    if not 0 <= value.nanos < 10**9 or not -(2**36) <= value.seconds <= 2**38:
        raise errors.InvalidFieldError("must be a time of the years 1 to 9999", field=field)
    return value.seconds * 10**6 + value.nanos // 1000


def enum_name(kind: _EnumWrapper, number: int, prefix: str) -> str:
    """Returns the name of an enum value without its prefix; "" for UNSPECIFIED."""
    name = kind.Name(number).removeprefix(prefix)
    return "" if name == "UNSPECIFIED" else name


def enum_names(
    kind: _EnumWrapper, numbers: Iterable[int], prefix: str, field: str
) -> tuple[str, ...]:
    """Returns the names of a list of enum values, each once; UNSPECIFIED is refused."""
    names = [enum_name(kind, number, prefix) for number in numbers]
    for index, name in enumerate(names):
        if not name:
            what = f"{prefix}UNSPECIFIED means nothing here; leave the list empty instead"
            raise errors.InvalidFieldError(what, field=f"{field}[{index}]")
    return tuple(dict.fromkeys(names))


def without_reserved_keys(value: Mapping[str, Any], field: str) -> None:
    """Refuses an object with a key that steers LangGraph from inside."""
    for key in value:
        if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
            raise errors.ReservedKeyError(
                f"the key {key!r} is reserved, as are __*, thread_id, run_id, checkpoint_* and "
                "langgraph_*; take another name",
                field=field,
                metadata={"key": key},
            )


def single_oneofs(request: Message, data: bytes) -> None:
    """Refuses a request that, as `data`, sets two fields of a oneof.

    No generated code writes one, but who builds messages by hand or joins them does, and
    decoding keeps what comes last: of an input and a resume, either.
    """
    kind = request.DESCRIPTOR
    if has_oneofs(kind):
        _single_oneofs(without_oneofs(kind).FromString(data), kind, "")


def known_enums(request: Message) -> None:
    """Refuses enum values that this server does not know."""
    for path, field, value in _fields(request):
        if field.enum_type is not None and value not in field.enum_type.values_by_number:
            raise errors.InvalidFieldError(
                f"{value} is no value of {field.enum_type.name} that this server knows; it knows: "
                + ", ".join(_enum_values(field.enum_type)),
                field=path,
                metadata=place_of(path),
            )


def known_fields(request: Message) -> None:
    """Refuses fields that this server does not know, wherever they are.

    protobuf would drop them silently: from a newer client, the one that says where to pause.
    """
    bare = type(request)()
    bare.CopyFrom(request)
    bare.DiscardUnknownFields()
    if bare.ByteSize() == request.ByteSize():
        return
    # A field without a name is called by its number.
    paths = list(islice(_unknown(request, ""), _MAX_NAMED_FIELDS))
    what = "this server does not know this field of the request; it may be older than its caller"
    raise errors.UnknownFieldError(
        what,
        violations=[errors.FieldViolation(path, what) for path in paths],
        metadata={"fields": ", ".join(paths), **place_of(paths[0])},
    )


def _single_oneofs(message: Message, kind: Any, path: str) -> None:
    for oneof in kind.oneofs:
        given = [field.name for field in oneof.fields if message.HasField(field.name)]
        if len(given) > 1:
            raise errors.InvalidFieldError(
                f"give one of these, not all: {', '.join(given)}",
                field=f"{path}{oneof.name}",
                metadata=place_of(path),
            )
    for name, _, child in _children(message, path):
        inner = kind.file.pool.FindMessageTypeByName(child.DESCRIPTOR.full_name)
        if has_oneofs(inner):
            _single_oneofs(child, inner, f"{name}.")


def _unknown(message: Message, path: str) -> Iterator[str]:
    unknown = type(message)()
    unknown.CopyFrom(message)
    for field, _ in unknown.ListFields():
        unknown.ClearField(field.name)
    # protobuf would make an object of each of them, and there may be millions.
    numbers = (number for number, _ in first_fields(unknown.SerializeToString(), _MOST_UNKNOWN))
    yield from dict.fromkeys(f"{path}#{number}" for number in numbers)
    for name, _, child in _children(message, path):
        yield from _unknown(child, f"{name}.")


def _fields(message: Message, path: str = "") -> Iterator[tuple[str, FieldDescriptor, Any]]:
    """Yields (path, field, value) of every single value that is set, at any depth."""
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.is_repeated:
                for index, item in enumerate(value):
                    yield f"{path}{field.name}[{index}]", field, item
            else:
                yield f"{path}{field.name}", field, value
    for name, field, child in _children(message, path):
        kind = field.message_type
        if kind is not None and kind.file.package.startswith("graphwire."):
            yield from _fields(child, f"{name}.")


def _children(message: Message, path: str) -> Iterator[tuple[str, FieldDescriptor, Message]]:
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None:
            continue
        name = f"{path}{field.name}"
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                for key, item in value.items():
                    yield f"{name}[{key}]", kind.fields_by_name["value"], item
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield f"{name}[{index}]", field, item
        else:
            yield name, field, value


def _enum_values(kind: EnumDescriptor) -> list[str]:
    return [value.name for value in kind.values if not value.name.endswith("_UNSPECIFIED")]
