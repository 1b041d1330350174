"""What users give as JSON on the command line: text, `@file`, or `-` for stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode

MemberT = TypeVar("MemberT", bound=StrEnum)


def read_json(option: str, text: str) -> Any:
    """Returns the value of an option that takes JSON, `@file` or `-`; exits if it is not JSON."""
    source = _read(option, text)
    try:
        return json.loads(source)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        fail(f"{option}: not JSON: {error.msg} ({place})", ExitCode.USAGE)
    except RecursionError:
        fail(f"{option}: nested too deep", ExitCode.USAGE)


def read_object(option: str, text: str | None) -> dict[str, Any] | None:
    """As `read_json`, for what must be a JSON object; None if the option is not given."""
    if text is None:
        return None
    value = read_json(option, text)
    if not isinstance(value, dict):
        fail(f"{option}: must be a JSON object, such as '{{\"key\": 1}}'", ExitCode.USAGE)
    return value


def read_members(option: str, texts: Sequence[str], kind: type[MemberT]) -> list[MemberT]:
    """Returns the enum members that texts name, in any case; exits if there is no such one."""
    known = {member.lower(): member for member in kind if member.name != "UNKNOWN"}
    if wrong := [text for text in texts if text.lower() not in known]:
        fail(f"{option}: {wrong[0]!r} is not one of {', '.join(known)}", ExitCode.USAGE)
    return [known[text.lower()] for text in texts]


def json_or_text(text: str) -> Any:
    """Returns the JSON value that a text is, or the text itself: `42`, `{"ok":true}`, `yes`.

    Raises:
        ValueError: It begins like an object, an array or a string of JSON, and is none: sent
            as text it would be another answer than was meant.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith(("{", "[", '"')):
            raise ValueError(f"not JSON: {error.msg} (column {error.colno})") from error
        return text
    except RecursionError:
        raise ValueError("nested too deep") from None


def input_of_text(text: str, schema: Any) -> Any:
    """Returns the input that a text is for a graph: JSON, or what a user says.

    Args:
        text: What was typed.
        schema: The JSON Schema of the graph's input; None if it has none.

    Raises:
        ValueError: It is no JSON, and the graph has no messages to put it into.
    """
    try:
        value = json_or_text(text)
    except ValueError:
        if not takes_messages(schema):
            raise
        value = text
    if isinstance(value, dict | list) or _type(schema) not in ("object", None):
        return value
    if takes_messages(schema):
        return {"messages": [{"role": "user", "content": text}]}
    raise ValueError(f"the graph takes no messages: give JSON, such as {example_input(schema)}")


def takes_messages(schema: Any) -> bool:
    """Returns whether a graph's input has messages, so that it can be a text."""
    return isinstance(schema, dict) and "messages" in (schema.get("properties") or {})


def example_input(schema: Any) -> str:
    """Returns JSON that fits a graph's input, by its JSON Schema, with the keys that it needs."""
    return json.dumps(_example(schema, schema, depth=8), ensure_ascii=False)


_EXAMPLES: dict[str, Any] = {
    "array": [],
    "boolean": True,
    "integer": 1,
    "null": None,
    "number": 1.5,
    "object": {},
    "string": "…",
}


def _example(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth == 0:
        return {}
    if isinstance(reference := schema.get("$ref"), str):
        found = root
        for part in reference.removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        return _example(found, root, depth - 1)
    for key in ("default", "const"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return _example(choices[0], root, depth - 1)
    if (properties := schema.get("properties")) is not None:
        # Where no key is required one will do.
        wanted = schema.get("required") or list(properties)[:1]
        return {key: _example(properties.get(key), root, depth - 1) for key in wanted}
    return _EXAMPLES.get(_type(schema) or "object")


def _type(schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type", "object" if "properties" in schema else None)
    return kind if isinstance(kind, str) else None


def read_answer(option: str, text: str) -> Any:
    """Returns the answer of an option, see `json_or_text`; exits if it is not clear."""
    try:
        return json_or_text(text)
    except ValueError as error:
        fail(f"{option}: {error}", ExitCode.USAGE)


def _read(option: str, text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        fail(f"{option}: {text[1:]}: {reason}", ExitCode.USAGE)
