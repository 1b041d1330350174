"""Any Python object as JSON text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import orjson
import ormsgpack

from graphwire_server.jsontext.rules import to_plain, unserializable

MIN_INT, MAX_INT = -(2**63), 2**64 - 1

#: The longest integer that is written out: about 100,000 digits. The time grows with the
#: square, to minutes for some millions of digits.
_MAX_INT_BITS = 332_192
#: How many objects may be converted inside each other. Dicts, lists and tuples do not
#: count; an object that makes a new one each time it is asked would never come to an end.
_MAX_CONVERSIONS = 1000
#: How deep keys may be nested in keys: each level escapes the one inside it once more.
_MAX_KEY_NESTING = 3

_ORJSON = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_ORMSGPACK = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(obj: object) -> str:
    """Returns any object found in graph state as JSON text, by the rules of `Payload`.

    It never raises for what it is given: what has no form comes out as
    `{"__unserializable__": "<module.Class>", "repr": "<text>"}`. An `orjson.Fragment` is
    taken to hold JSON and goes in as it is.
    """
    return _text(obj, sort_keys=False)


def canonical(value: object) -> str:
    """Returns the text that equal values share: keys in code point order, no blanks.

    1, 1.0 and true are different values, and so are 0.0 and -0.0.
    """
    return _text(value, sort_keys=True)


def members(node: dict[object, object]) -> list[tuple[str, object]]:
    """Returns a dict's members by the names that its keys have in JSON, whatever they are."""
    return _ExactWriter(sort_keys=False).named(node)


def plain_integer(number: int) -> object:
    """Returns what stands for an integer: itself if it has 64 bits, else a text or a marker."""
    if MIN_INT <= number <= MAX_INT:
        return number
    if number.bit_length() > _MAX_INT_BITS:
        return unserializable(number, f"<an integer of {number.bit_length()} bits>")
    # int's own conversion refuses more than 4300 digits.
    return str(Decimal(number))


def _text(obj: object, *, sort_keys: bool) -> str:
    """Has orjson write it, and does so exactly only where orjson would not keep the rules.

    orjson refuses what it can't write (integers over 64 bits, lone surrogates, keys that
    are not strings, more than 254 levels, cycles), but turns NaN and infinities into null.
    """
    converted: list[object] = []

    def default(item: object) -> object:
        plain = to_plain(item)
        converted.append(plain)
        return plain

    try:
        text = orjson.dumps(obj, default, _ORJSON | (orjson.OPT_SORT_KEYS if sort_keys else 0))
    except orjson.JSONEncodeError:
        return _ExactWriter(sort_keys=sort_keys).write(obj)
    if b"null" in text and _may_hold_non_finite(obj, converted):
        return _ExactWriter(sort_keys=sort_keys).write(obj)
    return text.decode()


def _may_hold_non_finite(obj: object, converted: list[object]) -> bool:
    """Says whether NaN or an infinity may be among what orjson has written.

    MessagePack keeps them, as 0xCB and an IEEE double whose exponent is all ones; that
    double begins with 0x7F or 0xFF. UTF-8 has neither after a 0xCB, so text never matches.
    Searching for 0xCB alone is much faster, and mostly enough. All this takes a quarter of
    the time of a walk in Python.
    """
    try:
        packed = ormsgpack.packb([obj, converted], lambda _: None, _ORMSGPACK)
    except ormsgpack.MsgpackEncodeError:
        return True
    return b"\xcb" in packed and (b"\xcb\x7f" in packed or b"\xcb\xff" in packed)


@dataclass(slots=True)
class _Frame:
    """An object or array that has been opened and not closed.

    Attributes:
        children: Its members not yet written, each with what stands before it.
        closing: The bracket that ends it.
        opened: The ids of the Python objects that it stands for.
        conversions: How many of them, and of those around it, were converted.
    """

    children: Iterator[tuple[str, object]]
    closing: str
    opened: list[int]
    conversions: int


class _ExactWriter:
    """Writes by the rules alone, for any depth and any cycle, at Python's pace."""

    def __init__(self, *, sort_keys: bool, key_nesting: int = 0) -> None:
        self._sort_keys = sort_keys
        self._key_nesting = key_nesting
        self._parts: list[str] = []
        # What encloses the present place, by id. Holding the objects keeps ids unique.
        self._enclosing: dict[int, object] = {}

    def write(self, root: object) -> str:
        frames = [_Frame(iter([("", root)]), "", [], 0)]
        while frames:
            frame = frames[-1]
            for prefix, child in frame.children:
                self._parts.append(prefix)
                inner = self._begin(child, frame.conversions)
                if inner is not None:
                    frames.append(inner)
                    break
            else:
                self._parts.append(frame.closing)
                self._leave(frame.opened)
                frames.pop()
        return "".join(self._parts)

    def _begin(self, node: object, conversions: int) -> _Frame | None:
        """Writes a scalar, or opens an object or array."""
        opened: list[int] = []
        while (scalar := _scalar(node)) is None:
            if id(node) in self._enclosing:
                node = unserializable(node, "<circular reference>")
            self._enclosing[id(node)] = node
            opened.append(id(node))
            if type(node) is dict:
                self._parts.append("{")
                return _Frame(self._members(node), "}", opened, conversions)
            if type(node) is list or type(node) is tuple:
                self._parts.append("[")
                return _Frame(_items(node), "]", opened, conversions)
            if conversions == _MAX_CONVERSIONS:
                node = unserializable(node, "<nested too deep>")
            else:
                conversions += 1
                node = to_plain(node)
        self._parts.append(scalar)
        self._leave(opened)
        return None

    def _leave(self, opened: list[int]) -> None:
        for key in opened:
            del self._enclosing[key]

    def _members(self, node: dict[object, object]) -> Iterator[tuple[str, object]]:
        members = self.named(node)
        if self._sort_keys:
            members.sort(key=lambda member: member[0])
        separator = ""
        for name, child in members:
            yield f"{separator}{_string(name)}:", child
            separator = ","

    def named(self, node: dict[object, object]) -> list[tuple[str, object]]:
        """Gives each key its own name: a string key its own, others what is not taken."""
        members = list(node.items())
        taken = {key for key, _ in members if type(key) is str and _is_text(key)}
        counts: dict[str, int] = {}
        named: list[tuple[str, object]] = []
        for key, child in members:
            if type(key) is str and key in taken:
                named.append((key, child))
                continue
            name = text = self._key(key)
            while name in taken:
                counts[text] = counts.get(text, 1) + 1
                name = f"{text} ({counts[text]})"
            taken.add(name)
            named.append((name, child))
        return named

    def _key(self, key: object) -> str:
        if type(key) is str:
            return _without_lone_surrogates(key)
        if self._key_nesting == _MAX_KEY_NESTING:
            key = unserializable(key, "<nested too deep>")
        writer = _ExactWriter(sort_keys=self._sort_keys, key_nesting=self._key_nesting + 1)
        text = writer.write(key)
        return str(orjson.loads(text)) if text.startswith('"') else text


def _items(node: list[object] | tuple[object, ...]) -> Iterator[tuple[str, object]]:
    separator = ""
    for child in node:
        yield separator, child
        separator = ","


def _scalar(node: object) -> str | None:
    """Returns the text of a scalar; None for anything else."""
    if node is None:
        return "null"
    kind = type(node)
    if kind is str:
        return _string(node)  # type: ignore[arg-type]
    if kind is bool:
        return "true" if node else "false"
    if kind is int:
        return _integer(node)  # type: ignore[arg-type]
    if kind is float:
        return _float(node)  # type: ignore[arg-type]
    if kind is orjson.Fragment:
        return orjson.dumps(node).decode()
    return None


def _string(text: str) -> str:
    try:
        return orjson.dumps(text).decode()
    except orjson.JSONEncodeError:
        return orjson.dumps(_without_lone_surrogates(text)).decode()


def _integer(number: int) -> str:
    if MIN_INT <= number <= MAX_INT:
        return str(number)
    return dumps(plain_integer(number))


def _float(number: float) -> str:
    if number != number:
        return '"NaN"'
    if number in (float("inf"), float("-inf")):
        return '"Infinity"' if number > 0 else '"-Infinity"'
    return orjson.dumps(number).decode()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_lone_surrogates(text: str) -> str:
    """Returns the text with U+FFFD for each; two that make a pair become its character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
