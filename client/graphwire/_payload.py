"""Python values to JSON payloads and back."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import uuid
from collections.abc import Mapping
from enum import Enum
from typing import Any

from graphwire.errors import InvalidPayloadError
from graphwire.start import NOT_GIVEN
from graphwire.v1 import payload_pb2


def encode(value: Any, field: str) -> payload_pb2.Payload:
    """Writes a value as JSON.

    Dataclasses, pydantic models and LangChain messages become objects, dates and times
    ISO 8601, bytes base64, sets lists, enum members their value, UUIDs strings.

    Raises:
        InvalidPayloadError: JSON can't hold it; `field` names the field.
    """
    try:
        text = json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_plain,
        )
        return payload_pb2.Payload(json=text)
    except UnicodeEncodeError as error:
        raise InvalidPayloadError(
            f"a string holds half a surrogate pair: {error.reason}", field=field
        ) from error
    except (TypeError, ValueError) as error:
        raise InvalidPayloadError(str(error), field=field) from error
    except RecursionError as error:
        raise InvalidPayloadError("it is nested too deep", field=field) from error


def encode_if_given(value: Any, field: str) -> payload_pb2.Payload | None:
    """Writes a value as JSON, unless it is `NOT_GIVEN`."""
    return None if value is NOT_GIVEN else encode(value, field)


def encode_if_set(value: Any, field: str) -> payload_pb2.Payload | None:
    """Writes a value as JSON, unless it is None."""
    return None if value is None else encode(value, field)


def decode(payload: payload_pb2.Payload) -> Any:
    """Reads a payload; None if there is no value."""
    return json.loads(payload.json) if payload.HasField("json") else None


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    match value:
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case Enum():
            return value.value
        case uuid.UUID():
            return str(value)
        case set() | frozenset():
            return list(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case Mapping():
            return dict(value)
    raise TypeError(f"a value of type {type(value).__qualname__} can't be written as JSON")
