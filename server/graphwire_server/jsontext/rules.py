"""What becomes of objects that JSON has no form for, one level at a time."""

from __future__ import annotations

import base64
import dataclasses
from collections import UserString, deque
from collections.abc import Callable, Mapping, Sequence, Set, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, TypeAlias
from uuid import UUID

_Rule: TypeAlias = Callable[[Any], object]

#: The longest text kept of an object that has no rule, in characters.
_MAX_REPR = 1000


def to_plain(obj: object) -> object:
    """Returns what stands for an object that is not itself None, bool, int, float, str,
    list, tuple or dict.

    It is one of those, or nearer to one; what it contains is left as it is, for the same
    rules. An object whose own code fails on the way comes out as `unserializable`.
    """
    try:
        kind: type = type(obj)
        return _rule_for(kind)(obj)
    except Exception:  # noqa: BLE001 - the object's own code: anything may come
        return unserializable(obj)


def unserializable(obj: object, text: str | None = None) -> dict[str, str]:
    """Returns the marker for an object that has no JSON form, with `text` or its repr."""
    kind: Any = type(obj)
    try:
        name = f"{kind.__module__}.{kind.__qualname__}"
    except Exception:  # noqa: BLE001 - as above
        name = "an unnamed class"
    if text is None:
        try:
            text = str.__str__(repr(obj))
        except Exception as error:  # noqa: BLE001 - as above
            text = f"<repr() raised {type(error).__name__}>"
    if len(text) > _MAX_REPR:
        text = text[: _MAX_REPR - 1] + "…"
    return {"__unserializable__": name, "repr": text}


@lru_cache(maxsize=512)
def _rule_for(kind: type) -> _Rule:
    # Asked of the class, not of the object: a mock has every attribute, and claims to be
    # an instance of whatever it stands for.
    if callable(getattr(kind, "model_dump", None)):
        return _model
    for types, rule in _BY_TYPE:
        if issubclass(kind, types):
            return rule
    if dataclasses.is_dataclass(kind):
        return _dataclass
    # What follows is known by its looks, so that its library need not be there.
    if (kind.__module__, kind.__qualname__) == ("langgraph.types", "Send"):
        return _slots
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):  # NumPy, pandas, torch
        return _array
    if hasattr(kind, "__fields__") and callable(getattr(kind, "dict", None)):  # pydantic v1
        return _model_v1
    if callable(getattr(kind, "unicode_string", None)):  # pydantic's URLs
        return str
    return unserializable


def _model(obj: Any) -> object:
    # By its own type, not by the type its field declares: a list[BaseMessage] would
    # otherwise lose the tool calls of its AIMessages.
    try:
        return obj.model_dump(serialize_as_any=True, warnings=False)
    except (TypeError, ValueError):  # an override that knows other options, or none
        return obj.model_dump()


def _model_v1(obj: Any) -> object:
    return obj.dict()


def _dataclass(obj: Any) -> dict[str, object]:
    # Not asdict(): that copies deeply, and fails where something can't be copied.
    return _attributes(obj, (field.name for field in dataclasses.fields(obj)))


def _slots(obj: Any) -> dict[str, object]:
    return _attributes(obj, type(obj).__slots__)


def _attributes(obj: object, names: Any) -> dict[str, object]:
    return {name: getattr(obj, name) for name in names if hasattr(obj, name)}


def _array(obj: Any) -> object:
    return obj.tolist()


def _exception(obj: BaseException) -> dict[str, str]:
    return {"type": type(obj).__name__, "message": str(obj)}


def _tuple(obj: tuple[Any, ...]) -> object:
    names = getattr(type(obj), "_fields", None)
    return list(obj) if names is None else dict(zip(names, obj, strict=True))


def _set(obj: Set[Any]) -> list[object]:
    # In order, where there is one: what a set looks like must not differ by process.
    try:
        return sorted(obj)
    except Exception:  # noqa: BLE001 - as above
        return list(obj)


def _mapping(obj: Mapping[Any, Any]) -> dict[Any, object]:
    return dict(obj)


def _enum(obj: Enum) -> object:
    return obj.value


def _base64(obj: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(bytes(obj)).decode("ascii")


def _iso(obj: datetime | date | time) -> str:
    return obj.isoformat()


# The first that fits, so a special type stands before a general one.
_BY_TYPE: tuple[tuple[type | tuple[type, ...], _Rule], ...] = (
    (Enum, _enum),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    ((bytes, bytearray, memoryview), _base64),
    ((datetime, date, time), _iso),
    (timedelta, timedelta.total_seconds),
    ((UUID, PurePath, Decimal, UserString), str),
    (BaseException, _exception),
    (tuple, _tuple),
    (Mapping, _mapping),
    (Set, _set),
    ((Sequence, deque, ValuesView), list),
)
