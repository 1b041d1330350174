"""What CEL's values are in Python.

null, bool, int, double, string and bytes are None, bool, int, float, str and bytes. Lists and
maps of the state are lists, tuples and dicts as they are there: their members become JSON's
values only when they are read. Those that an expression makes are `Items` and `Entries`, whose
members are CEL's values already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class UInt(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


class Items(list[Any]):
    """A list that an expression made."""

    __slots__ = ()


class Entries(dict[Any, Any]):
    """A map that an expression made; its keys are as `key_of` gives them."""

    __slots__ = ()


class Lazy:
    """A map whose values are made only when they are read.

    Attributes:
        mapping: From names to any objects.
    """

    __slots__ = ("mapping",)

    def __init__(self, mapping: Mapping[str, object]) -> None:
        """Takes the mapping."""
        self.mapping = mapping


class TypeName(str):
    """A type as a value, such as `int`."""

    __slots__ = ()


#: Stands for what is not there.
MISSING: Final = object()

#: Which CEL type the values of a Python type have, but for those of `times`.
TYPE_NAMES: dict[type, str] = {
    type(None): "null_type",
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    tuple: "list",
    Items: "list",
    dict: "map",
    Entries: "map",
    Lazy: "map",
    TypeName: "type",
}
NUMBERS = frozenset({int, UInt, float})
LISTS = frozenset({list, tuple, Items})
MAPS = frozenset({dict, Entries, Lazy})


def key_of(key: object) -> object:
    """Returns what stands for a key of a map in a dict, where 1 and true are one."""
    return (key,) if type(key) is bool else key


def key_from(key: object) -> object:
    """Returns the key that something stands for."""
    return key[0] if type(key) is tuple else key


def an(name: str) -> str:
    """Returns the name of a type with its article."""
    if name == "null_type":
        return "null"
    return f"an {name}" if name[0] in "aeiou" and name != "uint" else f"a {name}"


def keys_of(entries: Entries) -> Iterator[object]:
    """Yields the keys of a map that an expression made."""
    return map(key_from, entries)
