"""What it means for JSON to contain JSON."""

from __future__ import annotations

import pytest
from graphwire_server.storage.sqlite.containment import Containment


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ("{}", "{}"),
        ('{"a": 1}', "{}"),
        ('{"a": 1, "b": 2}', '{"b": 2}'),
        ('{"a": 1}', '{"a": 1.0}'),
        ('{"a": {"b": {"c": 1, "d": 2}, "e": 3}}', '{"a": {"b": {"d": 2}}}'),
        ('{"a": [1, {"b": 2}]}', '{"a": [1, {"b": 2}]}'),
        ('{"a": []}', '{"a": []}'),
        ('{"a": null}', '{"a": null}'),
        ('{"a": "\\u00e9"}', '{"a": "é"}'),
    ],
)
def test_contained(document: str, wanted: str) -> None:
    assert Containment()(document, wanted) is True


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ("{}", '{"a": null}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 0}', '{"a": false}'),
        ('{"a": true}', '{"a": 1}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}'),
        ('{"a": [1, 2]}', '{"a": [1]}'),
        ('{"a": [1, 2]}', '{"a": [2, 1]}'),
        ('{"a": [{"b": 1, "c": 2}]}', '{"a": [{"b": 1}]}'),
        ('{"a": [[1]]}', '{"a": [[true]]}'),
        ('{"a": 1}', '{"a": {}}'),
        ('{"a": {"b": 1}}', '{"a": []}'),
        ('{"a": [1]}', '{"a": {"0": 1}}'),
        ("[1]", "{}"),
        ("null", "{}"),
        ("no JSON", "{}"),
        (None, "{}"),
    ],
)
def test_not_contained(document: str | None, wanted: str) -> None:
    assert Containment()(document, wanted) is False


def test_depth_is_no_trouble() -> None:
    deep = '{"a":' * 1000 + "1" + "}" * 1000
    assert Containment()(deep, deep) is True
    assert Containment()(deep, deep.replace("1", "2")) is False


def test_one_function_serves_several_questions() -> None:
    function = Containment()
    assert [function('{"a": 1}', f'{{"a": {value}}}') for value in (1, 2, 1)] == [
        True,
        False,
        True,
    ]
