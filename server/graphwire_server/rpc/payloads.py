"""`graphwire.v1.Payload`: Python values from what callers send, and both forms going out.

The rules are in the comment of payload.proto and, with examples, in docs/payloads.md.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, Value
from graphwire.errors import InvalidPayloadError, MissingFieldError
from graphwire.v1.payload_pb2 import Payload

from graphwire_server import jsontext
from graphwire_server.runs.batch import place_of
from graphwire_server.runs.metadata_limits import MetadataLimits, check_metadata
from graphwire_server.wording import counted

#: The largest integer that a double holds together with all smaller ones.
MAX_SAFE_INT = 2**53
#: The most values in all payloads of one request that are in value form: each is a message, and
#: a walk over them takes some microseconds for each. Payloads in json form may have any number.
MAX_VALUES = 100_000
#: The deepest nesting of the value form going out. An object costs three levels of
#: messages, and most protobuf decoders give up at 100, those of the response included.
MAX_VALUE_DEPTH = 25


class PayloadForm(StrEnum):
    """A form of Payload; the value is the name of its field."""

    JSON = "json"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """What a payload of a request may be at most.

    Attributes:
        max_bytes: Its size as JSON text, in bytes of UTF-8.
        max_depth: How many objects and arrays may be inside each other.
        max_metadata_bytes: The size of metadata as JSON text.
        max_metadata_keys: How many keys metadata may have, at its top level.
    """

    max_bytes: int = 4 * 1024 * 1024
    max_depth: int = 100
    max_metadata_bytes: int = 64 * 1024
    max_metadata_keys: int = 128


class PayloadCodec:
    """Reads the payloads of requests."""

    def __init__(self, limits: PayloadLimits) -> None:
        """Makes a codec with limits."""
        self._limits = limits

    def read(self, payload: Payload, field: str) -> Any:
        """Returns the value of a payload, in whichever form it is.

        Args:
            payload: The payload.
            field: Its path from the request, for errors: `input`, `resume.answers["x"]`.

        Raises:
            MissingFieldError: The payload has no form.
            InvalidPayloadError: It can't be read; the field is `<field>.json` or
                `<field>.value`, and the text says where in it.
        """
        form = payload.WhichOneof("form")
        if form is None:
            raise MissingFieldError(
                "the payload is empty: set its `json` to a JSON text, or its `value`; "
                "null is the text `null`",
                field=field,
            )
        try:
            if form == "json":
                return jsontext.loads(
                    payload.json,
                    max_bytes=self._limits.max_bytes,
                    max_depth=self._limits.max_depth,
                )
            return self._value(payload.value)
        except (jsontext.JsonTextError, _RefusedError) as error:
            raise InvalidPayloadError(str(error), field=f"{field}.{form}") from None

    def read_object(self, payload: Payload, field: str) -> dict[str, Any]:
        """Returns the value of a payload that must be an object.

        Raises:
            MissingFieldError: The payload has no form.
            InvalidPayloadError: It can't be read, or is not an object.
        """
        value = self.read(payload, field)
        if not isinstance(value, dict):
            raise InvalidPayloadError(
                f"must be a JSON object, not {_kind(value)}",
                field=f"{field}.{payload.WhichOneof('form')}",
            )
        return value

    def read_metadata(self, payload: Payload, field: str = "metadata") -> dict[str, Any]:
        """Returns metadata to be kept with a thread, run or assistant.

        Raises:
            MissingFieldError, InvalidPayloadError: As `read_object`; or it is too large.
        """
        value = self.read_object(payload, field)
        path = f"{field}.{payload.WhichOneof('form')}"
        check_metadata(value, jsontext.dumps(value), self.metadata_limits, path)
        return value

    @property
    def metadata_limits(self) -> MetadataLimits:
        """How large metadata may be."""
        return MetadataLimits(self._limits.max_metadata_bytes, self._limits.max_metadata_keys)

    def _value(self, message: Value) -> Any:
        value = _python(message, 0, self._limits.max_depth)
        # In JSON an escaped byte is six, and nothing else grows more: so measuring is
        # rarely necessary.
        if message.ByteSize() * 6 > self._limits.max_bytes:
            size = len(jsontext.dumps(value).encode())
            if size > self._limits.max_bytes:
                raise _RefusedError(
                    f"would have {size} bytes as JSON text; "
                    f"at most {self._limits.max_bytes} are allowed"
                )
        return value


def write(text: str, form: PayloadForm = PayloadForm.JSON) -> Payload:
    """Returns a payload for a JSON text, which is trusted to be one.

    In value form an integer beyond ±2^53 becomes its decimal string, and what is nested
    deeper than `MAX_VALUE_DEPTH` becomes its JSON text, as a string.
    """
    payload = Payload(json=text)
    if form == PayloadForm.VALUE:
        _to_value(payload)
    return payload


def to_value_form(message: Message) -> None:
    """Turns every payload in a message, however deep, from json into value form, in place."""
    if isinstance(message, Payload):
        _to_value(message)
        return
    for field in _fields_towards_payload(message.DESCRIPTOR):
        for inner in _messages(message, field):
            to_value_form(inner)


def clear_payloads(message: Message) -> None:
    """Clears every payload in a message, however deep."""
    for field in _fields_towards_payload(message.DESCRIPTOR):
        kind = field.message_type
        assert kind is not None
        if kind.GetOptions().map_entry:
            kind = kind.fields_by_name["value"].message_type
        if kind is Payload.DESCRIPTOR:
            message.ClearField(field.name)
            continue
        for inner in _messages(message, field):
            clear_payloads(inner)


# Reading the value form.


_CONTAINERS = ("struct_value", "list_value")


def check_values(request: Message) -> None:
    """Refuses a request with too many values in value form, as it is counted and before it is read.

    Raises:
        InvalidPayloadError: It has too many; the field is that of the payload with which they
            are.
    """
    there = 0
    for path, payload in _payloads(request, ""):
        if payload.WhichOneof("form") != "value":
            continue
        there += 1
        waiting = [payload.value]
        while waiting:
            message = waiting.pop()
            inside: Collection[Value] = ()
            match message.WhichOneof("kind"):
                case "struct_value":
                    inside = message.struct_value.fields.values()
                case "list_value":
                    inside = message.list_value.values
            there += len(inside)
            if there > MAX_VALUES:
                raise InvalidPayloadError(
                    f"brings the values in value form of the request to {there}; at most "
                    f"{MAX_VALUES} are allowed: send them in json form, as text",
                    field=f"{path}.value",
                    metadata=place_of(path),
                )
            waiting += (each for each in inside if each.WhichOneof("kind") in _CONTAINERS)


class _RefusedError(Exception):
    """A value is refused. `path` grows, innermost step first, on the way out."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.path: list[str | int] = []

    def __str__(self) -> str:
        why = super().__str__()
        return f"{jsontext.path_text(self.path[::-1])}: {why}"


def _python(message: Value, depth: int, max_depth: int) -> Any:
    """Returns what a Value means that has `depth` objects and lists around it."""
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "number_value":
        return _number(message.number_value)
    if kind == "bool_value":
        return message.bool_value
    if kind == "null_value":
        return None
    if kind is None:
        raise _RefusedError("the value is empty; JSON's null is `null_value`")
    if depth == max_depth:
        raise _RefusedError(f"is nested deeper than {counted(max_depth, 'level')}")
    step: str | int = 0
    try:
        if kind == "struct_value":
            members = {}
            for key, member in message.struct_value.fields.items():
                step = key
                members[key] = _python(member, depth + 1, max_depth)
            return members
        items = []
        for index, item in enumerate(message.list_value.values):
            step = index
            items.append(_python(item, depth + 1, max_depth))
        return items
    except _RefusedError as error:
        error.path.append(step)
        raise


def _number(number: float) -> int | float:
    if not math.isfinite(number):
        raise _RefusedError(f"{number} is not JSON; send null or a string")
    if -MAX_SAFE_INT <= number <= MAX_SAFE_INT and number.is_integer():
        return int(number)
    return number


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "a boolean", str: "a string", list: "an array"}
    return names.get(type(value), "a number")


# Writing the value form.


def _to_value(payload: Payload) -> None:
    if payload.WhichOneof("form") == "json":
        tree = orjson.loads(_folded(payload.json))
        _fill(payload.value, tree)


def _fill(message: Value, value: Any) -> None:
    match value:
        case None:
            message.null_value = NULL_VALUE
        case bool():
            message.bool_value = value
        case int() if not -MAX_SAFE_INT <= value <= MAX_SAFE_INT:
            message.string_value = str(value)
        case int() | float():
            message.number_value = value
        case str():
            message.string_value = value
        case list():
            items = message.list_value
            items.SetInParent()
            for item in value:
                _fill(items.values.add(), item)
        case dict():
            fields = message.struct_value
            fields.SetInParent()
            for key, member in value.items():
                _fill(fields.fields[key], member)


_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')


def _folded(text: str) -> str:
    """Returns a JSON text with everything below `MAX_VALUE_DEPTH` as strings of JSON text."""
    if text.count("[") + text.count("{") <= MAX_VALUE_DEPTH:
        return text
    parts: list[str] = []
    depth = copied = folded = 0
    for token in _STRUCTURE.finditer(text):
        bracket = token.group()
        if bracket in ("[", "{"):
            depth += 1
            if depth == MAX_VALUE_DEPTH + 1:
                folded = token.start()
        elif bracket in ("]", "}"):
            if depth == MAX_VALUE_DEPTH + 1:
                parts += text[copied:folded], _quoted(text[folded : token.end()])
                copied = token.end()
            depth -= 1
    return "".join((*parts, text[copied:]))


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


# Finding the payloads in a message.


def _payloads(message: Message, path: str) -> Iterator[tuple[str, Payload]]:
    """Yields each payload in a message, however deep, with its path."""
    for field in _fields_towards_payload(message.DESCRIPTOR):
        for place, inner in _placed(message, field):
            if isinstance(inner, Payload):
                yield f"{path}{place}", inner
            else:
                yield from _payloads(inner, f"{path}{place}.")


@functools.cache
def _fields_towards_payload(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Returns the fields of a message type in which there may be a Payload, at any depth."""
    return tuple(
        field
        for field in descriptor.fields
        if field.message_type is not None and Payload.DESCRIPTOR in _reachable(field.message_type)
    )


def _reachable(descriptor: Descriptor) -> set[Descriptor]:
    found = {descriptor}
    waiting = [descriptor]
    while waiting:
        for field in waiting.pop().fields:
            inner = field.message_type
            if inner is not None and inner not in found:
                found.add(inner)
                waiting.append(inner)
    return found


def _messages(message: Message, field: FieldDescriptor) -> Iterable[Message]:
    """Returns the messages that a field holds: none, one, or the items of a list or map."""
    return (inner for _, inner in _placed(message, field))


def _placed(message: Message, field: FieldDescriptor) -> Iterator[tuple[str, Message]]:
    """Yields the messages that a field holds, each with its place: `a`, `a[0]`, `a[key]`."""
    if field.has_presence:
        if message.HasField(field.name):
            yield field.name, getattr(message, field.name)
        return
    content = getattr(message, field.name)
    assert field.message_type is not None
    if field.message_type.GetOptions().map_entry:
        for key, inner in content.items():
            yield f"{field.name}[{key}]", inner
    else:
        for index, inner in enumerate(content):
            yield f"{field.name}[{index}]", inner
