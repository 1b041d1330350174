"""Checks an answer against a schema, in a bounded number of steps.

jsonschema does the work. Its keywords are counted, and those of them replaced whose cost is not
in proportion to what is counted: patterns are RE2's, and references lead where `usable` has found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson

from graphwire_server.graphs.conditions.patterns import compiled

if TYPE_CHECKING:
    from graphwire_server.runs.answer_schema.usable import Schema

_ValidationError = jsonschema.ValidationError
_Keyword = Callable[[Any, Any, Any, Any], "Iterator[_ValidationError] | None"]

#: What a mistake costs, in steps: the object that tells of it takes a kilobyte and a half.
ERROR_STEPS = 20
#: How many characters of a text are shown in a step, and how many instructions by characters
#: a pattern runs in one.
_SHOWN, _RUN = 2000, 1000
#: How many members are weighed in a step.
_WEIGHED = 20
#: How many characters a value without members counts for.
_PLAIN = 20
#: The longest message, in characters.
_LONGEST_MESSAGE = 500


class TooCostlyError(Exception):
    """Checking takes more steps than it may, or goes too deep."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why an answer does not fit.

    Attributes:
        json_path: Where in the answer, as `$.a[0]`.
        message: What is wrong there.
    """

    json_path: str
    message: str


@dataclass(slots=True)
class Steps:
    """What checks may cost together. A step is a keyword that looks at a value.

    Attributes:
        left: How many steps there are yet, of some microseconds.
    """

    left: int

    def charge(self, steps: int) -> None:
        """Takes steps off. Raises TooCostlyError if there are not so many."""
        self.left -= steps
        if self.left < 0:
            raise TooCostlyError


def unfit(schema: Schema, answer: Any, steps: Steps) -> Unfit | None:
    """Returns why an answer does not fit a schema; None if it does.

    Args:
        schema: The schema.
        answer: The answer, a JSON value.
        steps: What it may cost.

    Raises:
        TooCostlyError: It costs more, or goes too deep for Python's stack.
    """
    token = _CHECK.set(_Check(steps, schema.targets))
    try:
        validator = schema.draft(schema.root)
        problem = jsonschema.exceptions.best_match(validator.iter_errors(answer))
    except RecursionError:
        raise TooCostlyError from None
    finally:
        _CHECK.reset(token)
    if problem is None:
        return None
    return Unfit(_cut(problem.json_path), _cut(problem.message))


def shown(value: Any, weights: dict[int, int]) -> int:
    """Returns what it costs to show a value in a message, in steps.

    `weights` keeps what is known of lists and maps, by identity, for as long as they stay.
    """
    return _weight(value, weights) // _SHOWN


def _weight(value: Any, known: dict[int, int], steps: Steps | None = None) -> int:
    """Returns how long a value is when it is shown, in characters, roughly.

    What it costs to find that out is taken off `steps`, before it is done.
    """
    kind = type(value)
    if kind is str:
        return len(value) + _PLAIN
    if kind is not list and kind is not dict:
        return _PLAIN
    weight = known.get(id(value))
    if weight is None:
        if steps is not None:
            steps.charge(1 + len(value) // _WEIGHED)
        weight = _PLAIN
        for key in value if kind is dict else ():
            weight += len(key) + _PLAIN
        for each in value.values() if kind is dict else value:
            weight += _weight(each, known, steps)
        known[id(value)] = weight
    return weight


@dataclass(slots=True)
class _Check:
    """One check.

    Attributes:
        steps: What it may cost.
        targets: By reference, the schema that it leads to.
        weights: Those of values that are lists and maps, by identity: all of them are of the
            schema or the answer, which stay.
    """

    steps: Steps
    targets: Mapping[str, Any]
    weights: dict[int, int] = field(default_factory=dict)

    def charge_for(self, value: Any) -> None:
        """Takes off what it costs to go through a value's members, and to show it."""
        members = len(value) if type(value) is list or type(value) is dict else 0
        self.steps.charge(members)
        self.steps.charge(_weight(value, self.weights, self.steps) // _SHOWN)


_CHECK: ContextVar[_Check] = ContextVar("answer_check")


def _counted(keyword: _Keyword) -> _Keyword:
    """Returns a keyword that takes off what it costs."""

    def counted(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterator[_ValidationError]:
        check = _CHECK.get()
        check.steps.charge(1)
        check.charge_for(value)
        check.charge_for(instance)
        for error in keyword(validator, value, instance, schema) or ():
            check.steps.charge(ERROR_STEPS)
            error.message = _cut(error.message)
            yield error

    return counted


def _ref(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[_ValidationError]:
    yield from validator.descend(instance, _CHECK.get().targets[value])


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[_ValidationError]:
    if isinstance(instance, str) and not _is_found(value, instance):
        yield _ValidationError(f"{instance!r} does not match {value!r}")


def _pattern_properties(
    validator: Any, value: Any, instance: Any, schema: Any
) -> Iterator[_ValidationError]:
    if isinstance(instance, dict):
        for pattern, part in value.items():
            for key, member in instance.items():
                if _is_found(pattern, key):
                    yield from validator.descend(member, part, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, value: Any, instance: Any, schema: Any
) -> Iterator[_ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", ()), schema.get("patternProperties", ())
    more = [
        key
        for key in instance
        if key not in known and not any(_is_found(pattern, key) for pattern in patterns)
    ]
    if isinstance(value, dict):
        for key in more:
            yield from validator.descend(instance[key], value, path=key)
    elif not value and more:
        listed = ", ".join(map(repr, more))
        were = "was" if len(more) == 1 else "were"
        yield _ValidationError(
            f"Additional properties are not allowed ({listed} {were} unexpected)"
        )


def _additional_items(
    validator: Any, value: Any, instance: Any, schema: Any
) -> Iterator[_ValidationError]:
    # Theirs takes `items` for a list or an object, and it may be true.
    if isinstance(schema.get("items"), list):
        yield from _ADDITIONAL_ITEMS(validator, value, instance, schema)


def _unique_items(
    validator: Any, value: Any, instance: Any, schema: Any
) -> Iterator[_ValidationError]:
    if not value or not isinstance(instance, list):
        return
    check, seen = _CHECK.get(), set()
    for each in instance:
        check.steps.charge(1 + _weight(each, check.weights, check.steps) // 100)
        text = orjson.dumps(_normal(each), option=orjson.OPT_SORT_KEYS)
        if text in seen:
            yield _ValidationError(f"{instance!r} has non-unique elements")
            return
        seen.add(text)


def _one_of_values(
    validator: Any, value: Any, instance: Any, schema: Any
) -> Iterator[_ValidationError]:
    check = _CHECK.get()
    check.steps.charge(_weight(value, check.weights) // 200)
    yield from _ENUM(validator, value, instance, schema)


def _is_value(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[_ValidationError]:
    check = _CHECK.get()
    check.steps.charge(_weight(value, check.weights) // 200)
    yield from _CONST(validator, value, instance, schema)


def _nothing(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Stands for keywords that are not kept; `usable` lets none pass but `format`."""


def _is_found(pattern: str, text: str) -> bool:
    # re2 remembers its last patterns.
    made = compiled(pattern)
    _CHECK.get().steps.charge(3 + len(text) * made.programsize // _RUN)
    return made.search(text) is not None


def _normal(value: Any) -> Any:
    """Returns a value in which each number has one form only: 1.0 is 1."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**63 else value
    if isinstance(value, list):
        return [_normal(each) for each in value]
    if isinstance(value, dict):
        return {key: _normal(each) for key, each in value.items()}
    return value


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


_LATEST = jsonschema.Draft202012Validator
_ENUM, _CONST = _LATEST.VALIDATORS["enum"], _LATEST.VALIDATORS["const"]
_ADDITIONAL_ITEMS = jsonschema.Draft7Validator.VALIDATORS["additionalItems"]
_OURS: Mapping[str, _Keyword] = {
    "$ref": _ref,
    "additionalItems": _additional_items,
    "additionalProperties": _additional_properties,
    "const": _is_value,
    "enum": _one_of_values,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "format"), _nothing),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), _nothing),
}


def _bounded(draft: Any) -> Any:
    theirs = draft.VALIDATORS
    keywords = {name: _counted(_OURS.get(name, keyword)) for name, keyword in theirs.items()}
    return jsonschema.validators.extend(draft, keywords)  # type: ignore[no-untyped-call]


#: The draft of a schema that names none, and the validators of those that are known.
LATEST = "https://json-schema.org/draft/2020-12/schema"
DRAFTS: Mapping[str, Any] = {
    "http://json-schema.org/draft-04/schema": _bounded(jsonschema.Draft4Validator),
    "http://json-schema.org/draft-06/schema": _bounded(jsonschema.Draft6Validator),
    "http://json-schema.org/draft-07/schema": _bounded(jsonschema.Draft7Validator),
    "https://json-schema.org/draft/2019-09/schema": _bounded(jsonschema.Draft201909Validator),
    LATEST: _bounded(_LATEST),
}
