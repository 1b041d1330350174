"""Paths to parts of a state: `messages[-1].content`, `result.total`, `["a b"][0]`."""

from __future__ import annotations

import re
from typing import Any

import orjson

from graphwire_server import jsontext

#: The keys and indexes that lead to a part, from the state on.
StatePath = tuple[str | int, ...]

#: The most characters of a path.
MAX_PATH = 512

_NAME = re.compile(r'[^.\[\]"\s]+')
_INDEX = re.compile(r"\[(-?\d{1,9})\]")
_KEY = re.compile(r'\[("(?:[^"\\]|\\.)*")\]')


def parse_path(text: str) -> StatePath:
    """Reads a path.

    It is a key of the state, and then any number of `.key`, `[index]` (from 0, or from the end
    with -1) and `["key"]`, a JSON string for keys with other characters than letters have.

    Raises:
        ValueError: It is none; the text says what is wrong.
    """
    if len(text) > MAX_PATH:
        raise ValueError(f"at most {MAX_PATH} characters")
    path: list[str | int] = []
    at = 0
    while at < len(text):
        if index := _INDEX.match(text, at):
            path.append(int(index[1]))
            at = index.end()
        elif key := _KEY.match(text, at):
            path.append(_key(key[1], at))
            at = key.end()
        else:
            if path and text[at] != ".":
                raise _wrong(at, text)
            name = _NAME.match(text, at + bool(path))
            if name is None:
                raise _wrong(at, text)
            path.append(name[0])
            at = name.end()
    if not path or not isinstance(path[0], str):
        raise ValueError('must begin with a key of the state, as in "messages[-1].content"')
    return tuple(path)


def part(state: Any, path: StatePath) -> str:
    """Returns the part of a state, of parsed JSON, as JSON text; "null" for what is not there."""
    for step in path:
        if isinstance(step, str):
            state = state.get(step) if isinstance(state, dict) else None
        elif isinstance(state, list) and -len(state) <= step < len(state):
            state = state[step]
        else:
            return "null"
    return jsontext.dumps(state)


def _key(text: str, at: int) -> str:
    try:
        return str(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"at character {at + 1}: {text} is no JSON string") from error


def _wrong(at: int, text: str) -> ValueError:
    return ValueError(
        f"at character {at + 1}, {text[at : at + 20]!r}: there may be .key, [index] or "
        '["key"], as in "messages[-1].content"'
    )
