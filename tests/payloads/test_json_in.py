"""`jsontext.loads`: what callers send is read exactly, or refused with its place."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from graphwire_server import jsontext


def loads(text: str, *, max_bytes: int = 4 << 20, max_depth: int = 100) -> Any:
    return jsontext.loads(text, max_bytes=max_bytes, max_depth=max_depth)


def refused(text: str, message: str, **limits: int) -> None:
    """Asserts that the text is refused with exactly this message."""
    with pytest.raises(jsontext.JsonTextError, match=f"^{re.escape(message)}$"):
        loads(text, **limits)


# What is read.


@pytest.mark.parametrize(
    "text", ["null", "true", "0", "-1", '""', "[]", "{}", ' \t\r\n{"a": [1]} ']
)
def test_a_value_is_read(text: str) -> None:
    assert loads(text) == json.loads(text)


def test_the_order_of_keys_is_kept() -> None:
    assert list(loads('{"b": 1, "a": 2}')) == ["b", "a"]


@pytest.mark.parametrize("number", [-(2**63), 2**63, 2**64 - 1, 10**18, -(10**18), 2**53 + 1, 0])
def test_integers_of_64_bits_are_exact(number: int) -> None:
    value = loads(f"[{number}]")[0]
    assert (type(value), value) == (int, number)


@pytest.mark.parametrize("text", ["1.0", "1e2", "-0.0", "18446744073709551616.0", "1E308"])
def test_a_number_with_a_fraction_or_exponent_is_a_float(text: str) -> None:
    value = loads(text)
    assert (type(value), repr(value)) == (float, repr(float(text)))


def test_escaped_pairs_and_any_other_character_are_read() -> None:
    assert loads(r'"\ud83d\ude00 \u0000 \\ud800"') == "😀 \x00 \\ud800"
    assert loads('{"\ufeff😀": "\x7f"}') == {"\ufeff😀": "\x7f"}


# What does not parse.


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"a": }', "line 1, column 7: Expecting value"),
        ("[1,\n  2,\n  x]", "line 3, column 3: Expecting value"),
        ("{'a': 1}", "line 1, column 2: Expecting property name enclosed in double quotes"),
        ("[1, 2", "line 1, column 6: Expecting ',' delimiter"),
        ('["é', "line 1, column 2: Unterminated string starting at"),
        ('"\n"', "line 1, column 2: Invalid control character at"),
        (r'"\x"', "line 1, column 2: Invalid \\escape"),
        ("01", "line 1, column 2: text after the end of the value"),
        ("[1] // no", "line 1, column 5: text after the end of the value"),
        ("nan", "line 1, column 1: Expecting value"),
        ("\u0661", "line 1, column 1: Expecting value"),
        ("1\u00a0", "line 1, column 2: text after the end of the value"),
    ],
)
def test_what_does_not_parse_is_refused_with_line_and_column(text: str, message: str) -> None:
    refused(text, message)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_is_refused(text: str) -> None:
    refused(text, "line 1, column 1: there is no value; JSON's null is the text null")


def test_a_byte_order_mark_is_refused() -> None:
    refused("\ufeff{}", "line 1, column 1: begins with a byte order mark; leave it out")


# What parses, and leaves a doubt.


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinities_are_refused(literal: str) -> None:
    refused(f'{{"a": [0, {literal}]}}', f"$.a[1]: {literal} is not JSON; send null or a string")


@pytest.mark.parametrize("literal", ["1e309", "-1e400", "1" * 400 + ".0"])
def test_a_number_too_large_for_a_double_is_refused(literal: str) -> None:
    shown = literal if len(literal) < 40 else "1" * 39 + "…"
    refused(f"[{literal}]", f"$[0]: the number {shown} is too large for a double")


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**19 * 9])
def test_an_integer_outside_64_bits_is_refused(number: int) -> None:
    refused(
        f'{{"a": {{"b": {number}}}}}',
        f"$.a.b: the integer {number} is outside 64 bits; send it as a string",
    )


def test_a_key_that_occurs_twice_is_refused() -> None:
    refused('[{"a": {"x": 1, "y": 2, "x": 1}}]', '$[0].a: the key "x" occurs twice')
    refused(r'{"a": 1, "\u0061": 2}', '$: the key "a" occurs twice')


@pytest.mark.parametrize(
    "text, place",
    [
        (r'{"a": ["\ud800"]}', "$.a[0]: the string has a lone surrogate (U+D800)"),
        (r'["\udc00\ud83d"]', "$[0]: the string has a lone surrogate (U+DC00)"),
        (r'["\uD83D\uDE00", "\uD83Dx"]', "$[1]: the string has a lone surrogate (U+D83D)"),
        (r'[{"\udfff": 1}]', "$[0]: a key has a lone surrogate (U+DFFF)"),
        ('[\n"\ud800"]', "line 2, column 2: a lone surrogate (U+D800)"),
    ],
)
def test_a_lone_surrogate_is_refused(text: str, place: str) -> None:
    refused(text, f"{place}, which is not a character")


def test_the_first_of_several_violations_is_named() -> None:
    refused('[{"a": 1, "b": [NaN]}, Infinity]', "$[0].b[0]: NaN is not JSON; send null or a string")


def test_text_that_does_not_parse_is_named_even_after_another_violation() -> None:
    refused("[NaN, }", "line 1, column 7: Expecting value")


def test_a_path_quotes_keys_that_are_no_names_and_is_cut() -> None:
    refused('{"a b": {"é": NaN}}', '$["a b"].é: NaN is not JSON; send null or a string')
    refused('{"\\n": NaN}', '$["\\n"]: NaN is not JSON; send null or a string')
    with pytest.raises(jsontext.JsonTextError) as caught:
        loads(json.dumps({"k" * 100_000: {"x": 0}}).replace("0", "NaN"))
    assert str(caught.value) == '$["' + "k" * 196 + "…: NaN is not JSON; send null or a string"


# Limits.


def test_the_size_is_counted_in_bytes_of_utf_8() -> None:
    assert loads('"éé"', max_bytes=6) == "éé"
    refused('"éé"', "has 6 bytes of JSON text; at most 5 are allowed", max_bytes=5)
    refused("[1, 2]", "has 6 bytes of JSON text; at most 5 are allowed", max_bytes=5)


def test_the_depth_counts_objects_and_arrays() -> None:
    assert loads("1", max_depth=0) == 1
    assert loads('[{"a": [1, {}]}, [], []]', max_depth=4)
    refused("[]", "$: is nested deeper than 0 levels", max_depth=0)
    refused('[0, {"a": [1, {}]}]', "$[1].a[1]: is nested deeper than 3 levels", max_depth=3)


def test_the_deepest_setting_can_be_used() -> None:
    value = loads("[" * 500 + "]" * 500, max_depth=500)
    assert jsontext.dumps(value) == "[" * 500 + "]" * 500


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000,
        "[" * 4_000_000,
        "[1e999," + "[" * 100_000,
    ],
    ids=["open", "closed", "objects", "largest", "after another violation"],
)
def test_an_attack_by_depth_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(jsontext.JsonTextError, match=r"is nested deeper than 100 levels$"):
        loads(text)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "text, what",
    [
        ("9" * 1_000_000, "integer"),
        ("-" + "9" * 1_000_000, "integer"),
        ("1e" + "9" * 10**6, "number"),
    ],
    ids=["integer", "negative", "exponent"],
)
def test_an_attack_by_digits_is_refused_at_once(text: str, what: str) -> None:
    started = time.process_time()
    with pytest.raises(
        jsontext.JsonTextError, match=rf"^\$: the {what} [-9e1]{{39}}… is "
    ) as caught:
        loads(text)
    assert time.process_time() - started < 0.5
    assert len(str(caught.value)) < 200
