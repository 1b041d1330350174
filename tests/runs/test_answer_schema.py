"""Which schemas are used, what fits them, and that nothing costs more than it may."""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson
import pytest
from graphwire_server.runs.answer_schema import (
    Steps,
    TooCostlyError,
    Unfit,
    read_schema,
    unfit,
    why_unusable,
)
from hypothesis import given
from hypothesis import strategies as st

ENOUGH = 300_000


def problem(schema: Any, answer: Any, steps: int = ENOUGH) -> Unfit | None:
    return unfit(read_schema(text(schema)), answer, Steps(steps))


def text(schema: Any) -> str:
    return orjson.dumps(schema).decode()


def inside_each_other(keyword: str, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {keyword: schema}
    return schema


DOUBLED = {
    "$defs": {
        str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}, {"$ref": f"#/$defs/{n + 1}"}]}
        for n in range(15)
    }
    | {"15": {}},
    "$ref": "#/$defs/0",
}


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        ([], "it is no JSON object"),
        ({"x": "a" * 100_000}, "it has 100008 characters, and 100000 are the most"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "$schema: 'http://json-schema."),
        ({"$schema": 7}, "$schema: 7 is no draft that is known"),
        ({"$ref": 7}, "$.$ref: 7 is no reference"),
        ({"$ref": "#name"}, "$.$ref: '#name' is not followed"),
        ({"items": {"$ref": "#/$defs/0"}, "$defs": [{}, 5]}, ""),
        ({"items": {"$ref": "#/$defs/1"}, "$defs": [{}, 5]}, "$.items.$ref: 5 is no schema"),
        ({"items": {"$ref": "#/$defs/2"}, "$defs": [{}, 5]}, "$.items.$ref: '#/$defs/2' leads no"),
        ({"$defs": {"a": {"$ref": "nowhere"}}}, ""),
        ({"properties": {"$ref": {"type": "string"}, "$id": {}}}, ""),
        ({"properties": {"more": {"$ref": "#"}}}, ""),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "$.anyOf[1].$ref: it leads back to itself"),
        ({"if": {"required": ["a"]}, "then": {"$ref": "#"}}, "$.then.$ref: it leads back"),
        (inside_each_other("not", 39), ""),
        (inside_each_other("not", 40), "$" + ".not" * 40 + ": more than 40 schemas inside each"),
        (inside_each_other("items", 199), ""),
        (inside_each_other("items", 200), "it is nested deeper than 200 levels"),
        (DOUBLED, "$.$ref.allOf[0]"),
        ({"items": [{}]}, "$.items: a list is `prefixItems` in this draft"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}]}, ""),
        ({"items": {"$id": "here"}}, "$.items: $id is not supported there"),
        ({"$id": "http://example.com/whole", "$ref": "#/$defs/a", "$defs": {"a": {}}}, ""),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "$.items: $schema is"),
        ({"unevaluatedProperties": False}, "$: unevaluatedProperties is not supported there"),
        ({"$dynamicRef": "#a"}, "$: $dynamicRef is not supported there"),
        ({"properties": {"a": 5}}, "$.properties.a: 5 is no schema"),
        ({"properties": []}, "$.properties: [] is no value for it"),
        ({"allOf": {}}, "$.allOf: {} is no value for it"),
        ({"minLength": -1}, "$.minLength: -1 is no value for it"),
        ({"minLength": 2.0}, ""),
        ({"multipleOf": 0}, "$.multipleOf: 0 is no value for it"),
        ({"maximum": "1"}, "$.maximum: '1' is no value for it"),
        ({"required": [1]}, "$.required: [1] is no value for it"),
        ({"dependentRequired": {"a": "b"}}, "$.dependentRequired: {'a': 'b'} is no value for it"),
        ({"patternProperties": {"[": {}}}, "$.patternProperties: '[' is no pattern of RE2"),
        ({"pattern": "(abc){900}"}, "$.pattern: the pattern '(abc){900}' is too large"),
    ],
)
def test_which_schemas_are_used(schema: Any, error: str) -> None:
    found = why_unusable(text(schema))
    assert found.startswith(error)
    assert bool(found) == bool(error)
    assert len(found) <= 501


def test_text_that_is_no_json_is_no_schema() -> None:
    assert why_unusable("{").startswith("it is no JSON")


@pytest.mark.parametrize(
    ("schema", "answer", "expected"),
    [
        ({"pattern": "^a$"}, "a\n", Unfit("$", r"'a\n' does not match '^a$'")),
        ({"pattern": "b"}, "abc", None),
        ({"format": "date"}, "no date", None),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], None),
        ({"uniqueItems": True}, [1, 1.0], Unfit("$", "[1, 1.0] has non-unique elements")),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2.0, "a": 1}], "non-unique"),
        ({"patternProperties": {"^x": {"type": "null"}}}, {"x1": 1, "a": 1}, "$.x1"),
        (
            {
                "properties": {"a": {}},
                "patternProperties": {"^x": {}},
                "additionalProperties": False,
            },
            {"a": 1, "x1": 2, "b": 3},
            Unfit("$", "Additional properties are not allowed ('b' was unexpected)"),
        ),
        ({"additionalProperties": {"type": "null"}}, {"a": 1}, "$.a"),
        ({"const": "x" * 1000}, 1, "…"),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "items": True,
                "additionalItems": False,
            },
            [1, 2],
            None,
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "$ref": "#/definitions/a",
                "type": "null",
                "definitions": {"a": {"type": "integer"}},
            },
            1,
            None,
        ),
    ],
)
def test_what_fits(schema: Any, answer: Any, expected: Unfit | str | None) -> None:
    found = problem(schema, answer)
    if isinstance(expected, str):
        assert found is not None
        assert expected in f"{found.json_path} {found.message}"
    else:
        assert found == expected


def nested(depth: int, key: str = "a") -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {key: value}
    return value


TWICE = {"properties": {"a": {"$ref": "#"}}}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"items": {}}, [0] * 400_000),
        ({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, [0] * 20_000),
        ({"uniqueItems": True}, [[n] for n in range(200_000)]),
        ({"uniqueItems": True}, ["a" * 1000 + str(n) for n in range(30_000)]),
        ({"items": {"enum": [[1] * 30 for _ in range(1000)]}}, [[1] * 29 + [2]] * 1000),
        ({"pattern": "(a?){50}b"}, "a" * 4_000_000),
        (
            {"patternProperties": {f"^{n}x": {} for n in range(500)}},
            dict.fromkeys(map(str, range(9999))),
        ),
        ({"anyOf": [{"type": "integer", "maximum": n} for n in range(200)]}, ["x" * 9_000_000]),
        ({"allOf": [TWICE, TWICE]}, nested(30)),
        ({"properties": {"a": {"$ref": "#"}}}, nested(400)),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) and each else "",
)
def test_what_costs_too_much_is_not_looked_at_to_its_end(schema: Any, answer: Any) -> None:
    with pytest.raises(TooCostlyError):
        problem(schema, answer)


def test_what_a_hundred_levels_have_fits() -> None:
    tree = {"type": "object", "properties": {"more": {"type": "array", "items": {"$ref": "#"}}}}
    value: Any = {}
    for _ in range(49):
        value = {"more": [value]}
    assert problem(tree, value) is None


def test_steps_are_for_all_that_are_checked_with_them() -> None:
    schema, steps = read_schema('{"items": {"type": "integer"}}'), Steps(5000)
    answer = [1] * 500
    assert unfit(schema, answer, steps) is None
    spent = 5000 - steps.left
    assert 500 < spent < 2500
    for _ in range(5000 // spent - 1):
        assert unfit(schema, answer, steps) is None
    with pytest.raises(TooCostlyError):
        unfit(schema, answer, steps)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "a", "ab"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYWORDS = {
    "type": st.sampled_from(["null", "integer", "number", "string", "array", "object", "boolean"]),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "minimum": st.integers(-2, 2),
    "exclusiveMaximum": st.integers(-2, 2),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "minLength": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "minProperties": st.integers(0, 2),
    "pattern": st.sampled_from(["a", "^a", "b$", "^$"]),
    "required": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
    "uniqueItems": st.booleans(),
    "dependentRequired": st.dictionaries(st.sampled_from("abc"), st.just(["a"]), max_size=2),
    "minContains": st.integers(0, 2),
    "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
    # And what is wrong.
    "maxLength": st.sampled_from([1, -1, "1"]),
    "format": st.just("date"),
}


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    by_name = st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            **KEYWORDS,
            **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
            **dict.fromkeys(("not", "if", "then", "else"), inner),
            **dict.fromkeys(("items", "contains", "propertyNames", "additionalProperties"), inner),
            **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), by_name),
        },
    )


LEAVES = st.booleans() | st.fixed_dictionaries({}, optional=KEYWORDS)
SCHEMAS = st.builds(
    lambda root, a, b: {**root, "$defs": {"a": a, "b": b}},
    schemas(st.recursive(LEAVES, schemas, max_leaves=4)),
    LEAVES,
    LEAVES,
)


@given(SCHEMAS, VALUES)
def test_what_is_used_says_what_jsonschema_says_and_never_fails(schema: Any, answer: Any) -> None:
    if why_unusable(text(schema)):
        return
    expected = jsonschema.Draft202012Validator(schema).is_valid(answer)
    assert (problem(schema, answer) is None) == expected


ANYTHING = st.recursive(
    VALUES | st.sampled_from(["#", "#/$defs/a", "string", "("]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [*KEYWORDS, "items", "properties", "anyOf", "additionalItems", "$defs"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
DRAFTS = st.sampled_from(
    [f"http://json-schema.org/draft-0{n}/schema#" for n in (4, 6, 7)]
    + [f"https://json-schema.org/draft/{name}/schema" for name in ("2019-09", "2020-12")]
)


@given(ANYTHING, DRAFTS, VALUES)
def test_whatever_is_given_as_a_schema_never_fails(schema: Any, draft: str, answer: Any) -> None:
    given = {**schema, "$schema": draft} if isinstance(schema, dict) else schema
    if not why_unusable(text(given)):
        problem(given, answer)
