"""JSON text that a caller sent, read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

from graphwire_server.jsontext.encode import MAX_INT, MIN_INT
from graphwire_server.wording import counted

#: The longest path and the longest literal in an error's text, in characters: it travels
#: in the trailers of the call, which have room for a few kilobytes.
_MAX_PATH, _MAX_LITERAL = 200, 40


class JsonTextError(ValueError):
    """The text is not JSON that may be sent; the message says where and why.

    The place is a line and column (from 1, in characters) for what does not parse, and a
    path such as `$.a[3].b` for what parses and is refused.
    """


def loads(text: str, *, max_bytes: int, max_depth: int) -> Any:
    """Returns the value of a JSON text (RFC 8259), which must leave no doubt.

    Refused, beside what does not parse: more than `max_bytes` of UTF-8, more than
    `max_depth` objects and arrays inside each other, NaN and infinities, numbers too large
    for a double, integers outside -2^63 … 2^64-1, a key that occurs twice in an object, and
    lone surrogates.

    Raises:
        JsonTextError: The text is refused.
    """
    _check_size(text, max_bytes)
    try:
        value = _STRICT.decode(text)
        if not _deeper_than(max_depth, value) and not _has_lone_surrogate(text, value):
            return value
    except json.JSONDecodeError as error:
        raise JsonTextError(_syntax(text, error)) from None
    except (_RefusedError, RecursionError):
        pass
    # It is refused; only now is it worth the time to find the place.
    raise JsonTextError(_first_violation(text, max_depth))


def path_text(path: Sequence[str | int]) -> str:
    """Returns a path of keys and indexes as text, such as `$.a[3]["b c"]`."""
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _NAME.fullmatch(step):
            parts.append(f".{step}")
        else:
            parts.append(f"[{json.dumps(step)}]")
    return _cut("".join(parts), _MAX_PATH)


_NAME = re.compile(r"[^\W\d]\w{0,99}")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _check_size(text: str, max_bytes: int) -> None:
    if text.startswith("\ufeff"):
        raise JsonTextError("line 1, column 1: begins with a byte order mark; leave it out")
    if not text or text.isspace():
        raise JsonTextError("line 1, column 1: there is no value; JSON's null is the text null")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise JsonTextError(
            f"{_position(text, error.start)}: a lone surrogate "
            f"(U+{ord(text[error.start]):04X}), which is not a character"
        ) from None
    if size > max_bytes:
        raise JsonTextError(f"has {size} bytes of JSON text; at most {max_bytes} are allowed")


def _position(text: str, index: int) -> str:
    line = text.count("\n", 0, index) + 1
    column = index - text.rfind("\n", 0, index)
    return f"line {line}, column {column}"


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    what = "text after the end of the value" if error.msg == "Extra data" else error.msg
    return f"{_position(text, error.pos)}: {what}".rstrip(": ")


# Parsing: json calls these for each object and number.


class _RefusedError(Exception):
    """There is something that `_first_violation` will find."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RefusedError
    return members


def _integer(literal: str) -> int:
    # 19 characters always fit, more than 20 never do: int() is not asked about a million.
    if len(literal) > 19 and (len(literal) > 20 or not MIN_INT <= int(literal) <= MAX_INT):
        raise _RefusedError
    return int(literal)


def _float(literal: str) -> float:
    number = float(literal)
    if isinf(number):
        raise _RefusedError
    return number


def _constant(literal: str) -> float:
    raise _RefusedError


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _deeper_than(max_depth: int, value: object) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(max_depth):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return bool(level)


def _has_lone_surrogate(text: str, value: object) -> bool:
    if _SURROGATE_ESCAPE.search(text) is None:
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


# Finding the place of what was refused: everything is parsed, and then looked through.


class _Members(list[tuple[str, Any]]):
    """The members of an object, with those whose keys occur twice."""


@dataclass(frozen=True, slots=True)
class _Bad:
    """A literal that is refused, and why."""

    why: str


def _lenient_integer(literal: str) -> object:
    try:
        return _integer(literal)
    except _RefusedError:
        shown = _cut(literal, _MAX_LITERAL)
        return _Bad(f"the integer {shown} is outside 64 bits; send it as a string")


def _lenient_float(literal: str) -> object:
    try:
        return _float(literal)
    except _RefusedError:
        return _Bad(f"the number {_cut(literal, _MAX_LITERAL)} is too large for a double")


def _lenient_constant(literal: str) -> object:
    return _Bad(f"{literal} is not JSON; send null or a string")


_LENIENT = json.JSONDecoder(
    object_pairs_hook=_Members,
    parse_int=_lenient_integer,
    parse_float=_lenient_float,
    parse_constant=_lenient_constant,
)


def _first_violation(text: str, max_depth: int) -> str:
    """Returns what is wrong with a refused text, in the order of the text."""
    too_deep = f"is nested deeper than {counted(max_depth, 'level')}"
    try:
        root = _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        return _syntax(text, error)
    except RecursionError:
        return too_deep
    path: list[str | int] = []
    open_nodes: list[Iterator[tuple[str | int, Any]]] = []
    node = root
    while True:
        why = _why_refused(node)
        if why is None and isinstance(node, list) and len(open_nodes) == max_depth:
            why = too_deep
        if why is not None:
            return f"{path_text(path)}: {why}"
        if isinstance(node, list):
            open_nodes.append(_children(node))
            path.append("")
        while open_nodes:
            step = next(open_nodes[-1], None)
            if step is not None:
                path[-1], node = step
                break
            open_nodes.pop()
            path.pop()
        else:
            return too_deep


def _why_refused(node: object) -> str | None:
    if isinstance(node, _Bad):
        return node.why
    if isinstance(node, str) and (found := _lone_surrogate(node)):
        return f"the string has a lone surrogate ({found}), which is not a character"
    if isinstance(node, _Members):
        seen: set[str] = set()
        for key, _ in node:
            if found := _lone_surrogate(key):
                return f"a key has a lone surrogate ({found}), which is not a character"
            if key in seen:
                return f"the key {_cut(json.dumps(key), _MAX_LITERAL)} occurs twice"
            seen.add(key)
    return None


def _children(node: list[Any]) -> Iterator[tuple[str | int, Any]]:
    return iter(node) if isinstance(node, _Members) else enumerate(node)


def _lone_surrogate(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"U+{ord(text[error.start]):04X}"
    return None


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
