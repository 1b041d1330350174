"""Which schemas are used: decided by the schema alone, before any answer is there.

What is refused here would fail for whatever answer, or could cost without bound: references that
lead nowhere or elsewhere, schemas that are inside themselves, patterns that RE2 does not take.
A part of a schema can't be left out by itself: inside `not` or `oneOf` it would turn the meaning
around. So a schema is used as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import orjson

from graphwire_server.graphs.conditions.errors import Failure
from graphwire_server.graphs.conditions.patterns import compiled
from graphwire_server.runs.answer_schema.checking import DRAFTS, ERROR_STEPS, LATEST, shown

#: The longest schema, in characters of JSON.
MAX_LENGTH = 100_000
#: How deep it may be nested, as JSON.
MAX_NESTING = 200
#: How deep schemas that look at one value may be inside each other, references included: each
#: takes some frames of Python's stack, of which there are 1000.
MAX_DEPTH = 40
#: What it may cost to look at one value that has no members, in steps: far below what an answer
#: may cost, so that some answer can always be given.
MAX_STEPS = 20_000
#: How many schemas are remembered, and how long they may be, in characters.
_REMEMBERED, _LONGEST_REMEMBERED = 256, 8192

#: The longest error, and the longest value in one, in characters.
_LONGEST_ERROR, _LONGEST_SHOWN = 500, 100

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_COUNTS = frozenset(
    f"{side}{what}"
    for side in ("min", "max")
    for what in ("Contains", "Items", "Length", "Properties")
)
#: Keywords whose schemas look at the same value. `then` and `else` are read by `if`.
_SAME = ("not", "if", "then", "else")
_SAME_LISTS = ("allOf", "anyOf", "oneOf")
#: Keywords whose schemas look at what is in the value.
_INSIDE = ("additionalItems", "additionalProperties", "contains", "items", "propertyNames")
_INSIDE_MAPS = ("patternProperties", "properties")
#: Keywords that go with others, which read them.
_READ_BY_OTHERS = frozenset({"then", "else", "minContains", "maxContains"})
#: Keywords that are not kept: those that need what others have found, and references whose end
#: depends on the way.
_LEFT_OUT = ("$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties")


class UnusableSchemaError(Exception):
    """A schema can't be used; the text says why, and where."""


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A schema that can be used.

    Attributes:
        draft: The validator of its draft.
        root: The schema.
        targets: By reference, the schema that it leads to.
    """

    draft: Any
    root: Mapping[str, Any]
    targets: Mapping[str, Any]


def read_schema(text: str) -> Schema:
    """Returns the schema that a JSON text is. Raises UnusableSchemaError."""
    read = _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _read(text)
    if isinstance(read, str):
        raise UnusableSchemaError(read)
    return read


def why_unusable(text: str) -> str:
    """Returns why a schema can't be used; empty if it can."""
    try:
        read_schema(text)
    except UnusableSchemaError as error:
        return str(error)
    return ""


def _read(text: str) -> Schema | str:
    """Returns a schema, or why it can't be used."""
    if len(text) > MAX_LENGTH:
        return f"it has {len(text)} characters, and {MAX_LENGTH} are the most"
    try:
        root = orjson.loads(text)
        if not isinstance(root, dict):
            return "it is no JSON object"
        if _is_deeper(root, MAX_NESTING):
            return f"it is nested deeper than {MAX_NESTING} levels"
        return _Reader(root).schema()
    except orjson.JSONDecodeError as error:
        return f"it is no JSON: {error}"
    except UnusableSchemaError as error:
        return _cut(str(error), _LONGEST_ERROR)


_remembered = lru_cache(_REMEMBERED)(_read)


class _Reader:
    """Looks at each part of a schema that may be used."""

    def __init__(self, root: dict[str, Any]) -> None:
        named = root.get("$schema", LATEST)
        draft = DRAFTS.get(named.rstrip("#")) if isinstance(named, str) else None
        if draft is None:
            raise UnusableSchemaError(f"$schema: {_shown(named)} is no draft that is known")
        self._draft = draft
        self._keywords = frozenset(draft.VALIDATORS)
        self._old_ids = "draft-04" in str(named)
        self._refs_alone = not named.startswith("https:")  # Until draft 7.
        # References are followed here, so nobody asks for the name of the whole.
        self._root = {k: v for k, v in root.items() if k not in ("$schema", "$id", "id")}
        self._targets: dict[str, Any] = {}
        # By the identity of a schema: what it costs and how deep it goes; None: under way.
        self._known: dict[int, tuple[int, int] | None] = {}
        self._weights: dict[int, int] = {}
        self._inside: list[tuple[Any, str]] = []

    def schema(self) -> Schema:
        """Returns the schema. Raises UnusableSchemaError."""
        self._inside.append((self._root, "$"))
        while self._inside:
            schema, at = self._inside.pop()
            self._look(schema, at, 0)
        return Schema(self._draft, self._root, self._targets)

    def _look(self, schema: Any, at: str, depth: int) -> tuple[int, int]:
        """Looks at a schema and those that look at the same value.

        Returns what that costs, in steps, and how deep they are inside each other.
        """
        if isinstance(schema, bool):
            return ERROR_STEPS, 1
        if not isinstance(schema, dict):
            raise UnusableSchemaError(f"{at}: {_shown(schema)} is no schema")
        if id(schema) in self._known:
            known = self._known[id(schema)]
            if known is None:
                raise UnusableSchemaError(f"{at}: it leads back to itself, and never ends")
            self._check_bounds(known[0], depth + known[1], at)
            return known
        self._check_bounds(0, depth + 1, at)
        self._known[id(schema)] = None
        applied = schema
        if self._refs_alone and "$ref" in schema:
            applied = {"$ref": schema["$ref"]}
        cost, deepest = 0, 0
        for keyword, value in applied.items():
            self._check_keyword(keyword, value, schema, at)
            # Each may fail, `required` and the like for each of its members.
            members = len(value) if isinstance(value, list | dict) else 0
            cost += (1 + members) * (1 + ERROR_STEPS) + shown(value, self._weights)
        for part, where in self._same(applied, at):
            more, below = self._look(part, where, depth + 1)
            cost, deepest = cost + more, max(deepest, below)
            self._check_bounds(cost, depth + 1 + deepest, where)
        self._known[id(schema)] = (cost, deepest + 1)
        self._inside += self._parts(applied, at)
        return cost, deepest + 1

    def _check_bounds(self, cost: int, depth: int, at: str) -> None:
        if depth > MAX_DEPTH:
            raise UnusableSchemaError(
                f"{at}: more than {MAX_DEPTH} schemas inside each other look at one value"
            )
        if cost > MAX_STEPS:
            raise UnusableSchemaError(f"{at}: too many schemas look at one value")

    def _same(self, schema: Mapping[str, Any], at: str) -> Iterator[tuple[Any, str]]:
        """Yields the schemas that look at the same value, and where they are."""
        if "$ref" in schema:
            yield self._target(schema["$ref"], f"{at}.$ref"), f"{at}.$ref"
        for keyword in _SAME:
            if self._has(schema, keyword):
                yield schema[keyword], f"{at}.{keyword}"
        for keyword in _SAME_LISTS:
            if self._has(schema, keyword):
                for index, part in enumerate(schema[keyword]):
                    yield part, f"{at}.{keyword}[{index}]"
        for keyword in ("dependentSchemas", "dependencies"):
            if self._has(schema, keyword):
                for name, part in schema[keyword].items():
                    if not isinstance(part, list):
                        yield part, f"{at}.{keyword}.{name}"

    def _parts(self, schema: Mapping[str, Any], at: str) -> Iterator[tuple[Any, str]]:
        """Yields the schemas that look at what is in the value, and where they are."""
        for keyword in (*_INSIDE, "prefixItems"):
            if self._has(schema, keyword):
                value = schema[keyword]
                if isinstance(value, list):
                    for index, part in enumerate(value):
                        yield part, f"{at}.{keyword}[{index}]"
                else:
                    yield value, f"{at}.{keyword}"
        for keyword in _INSIDE_MAPS:
            if self._has(schema, keyword):
                for name, part in schema[keyword].items():
                    yield part, f"{at}.{keyword}.{name}"

    def _has(self, schema: Mapping[str, Any], keyword: str) -> bool:
        return keyword in schema and (keyword in self._keywords or keyword in _READ_BY_OTHERS)

    def _target(self, ref: Any, at: str) -> Any:
        """Returns what a reference leads to."""
        if not isinstance(ref, str):
            raise UnusableSchemaError(f"{at}: {_shown(ref)} is no reference")
        if ref not in self._targets:
            self._targets[ref] = self._found(ref, at)
        return self._targets[ref]

    def _found(self, ref: str, at: str) -> Any:
        if ref == "#":
            return self._root
        if not ref.startswith("#/"):
            raise UnusableSchemaError(
                f"{at}: {_shown(ref)} is not followed; references are `#` or begin with `#/`"
            )
        found: Any = self._root
        for step in unquote(ref[2:]).split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise UnusableSchemaError(f"{at}: {_shown(ref)} leads nowhere")
        return found

    def _check_keyword(self, keyword: str, value: Any, schema: Any, at: str) -> None:
        """Raises UnusableSchemaError for a keyword that is not kept, or not with this value."""
        named = keyword in ("$id", "$schema") or (keyword == "id" and self._old_ids)
        if (named and schema is not self._root) or (
            keyword in _LEFT_OUT and keyword in self._keywords
        ):
            raise UnusableSchemaError(f"{at}: {keyword} is not supported there")
        if keyword not in self._keywords and keyword not in _READ_BY_OTHERS:
            return
        if keyword == "items" and isinstance(value, list) and "prefixItems" in self._keywords:
            raise UnusableSchemaError(f"{at}.items: a list is `prefixItems` in this draft")
        check = _VALUES.get(keyword)
        if check is not None and not check(value):
            raise UnusableSchemaError(f"{at}.{keyword}: {_shown(value)} is no value for it")
        patterns = {"pattern": [value], "patternProperties": value}.get(keyword, ())
        for pattern in patterns:
            try:
                compiled(pattern)
            except Failure as failure:
                raise UnusableSchemaError(f"{at}.{keyword}: {failure.message}") from None


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        members = (each.values() if type(each) is dict else each for each in level)
        level = [each for some in members for each in some if type(each) in (dict, list)]
        if not level:
            return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_limit(value: Any) -> bool:
    # Draft 4 has true and false for those that exclude the limit itself.
    return isinstance(value, int | float)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


#: What the keywords may have as values, but for schemas, which are looked at.
_VALUES: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_COUNTS, _is_count),
    **dict.fromkeys(("maximum", "minimum"), _is_number),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), _is_limit),
    **dict.fromkeys((*_SAME_LISTS, "prefixItems"), _is_list),
    **dict.fromkeys((*_INSIDE_MAPS, "dependentSchemas"), _is_map),
    "dependencies": lambda value: (
        _is_map(value) and all(_is_names(each) for each in value.values() if type(each) is list)
    ),
    "dependentRequired": lambda value: _is_map(value) and all(map(_is_names, value.values())),
    "enum": lambda value: isinstance(value, list),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "pattern": lambda value: isinstance(value, str),
    "required": _is_names,
    "type": _is_type,
    "uniqueItems": lambda value: isinstance(value, bool),
}


def _shown(value: Any) -> str:
    return _cut(repr(value), _LONGEST_SHOWN)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
