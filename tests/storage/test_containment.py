"""Contract: what it means for JSON to contain JSON, which each database says by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import ThreadFilter
from graphwire_server.storage.sqlite.containment import Containment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.postgres import PostgresServer

from .builders import a_thread, add

Contains = Callable[[str | None, str], bool]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def contains(request: pytest.FixtureRequest) -> Contains:
    """The function of one database."""
    if request.param == "sqlite":
        return Containment()
    return postgres_function(request.getfixturevalue("connection"))


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer, migrated_database: str) -> Iterator[psycopg.Connection]:
    """A connection to a Postgres with our functions."""
    with postgres.connect(migrated_database) as connection:
        yield connection


def postgres_function(connection: psycopg.Connection) -> Contains:
    def contains(document: str | None, wanted: str) -> bool:
        row = connection.execute("SELECT graphwire_contains(%s, %s)", (document, wanted)).fetchone()
        assert row is not None
        assert isinstance(row[0], bool)
        return row[0]

    return contains


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ("{}", "{}"),
        ('{"a": 1}', "{}"),
        ('{"a": 1, "b": 2}', '{"b": 2}'),
        ('{"a": 1}', '{"a": 1.0}'),
        ('{"a": 100}', '{"a": 1e2}'),
        ('{"a": {"b": {"c": 1, "d": 2}, "e": 3}}', '{"a": {"b": {"d": 2}}}'),
        ('{"a": [1, {"b": 2}]}', '{"a": [1, {"b": 2}]}'),
        ('{"a": [1, {"b": 2, "c": 3}]}', '{"a": [1.0, {"c": 3, "b": 2}]}'),
        ('{"a": []}', '{"a": []}'),
        ('{"a": {"b": [1], "c": 2}}', '{"a": {"b": [1]}}'),
        ('{"a": null}', '{"a": null}'),
        ('{"a": "\\u00e9"}', '{"a": "é"}'),
        ('{"a": "[", "b": 1}', '{"a": "["}'),
        ('{"": {"": 1}}', '{"": {"": 1}}'),
        ('{"a,b": {"{c}": [1]}}', '{"a,b": {"{c}": [1]}}'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ('{"a": "x\\u0000y", "b": 1}', '{"b": 1}'),
        ('{"a": "x\\u0000y", "b": 1}', '{"a": "x\\u0000y"}'),
        ('{"a": "\\u0000\\u0000"}', '{"a": "\\u0000\\u0000"}'),
        ('{"a": "\\\\u0000"}', '{"a": "\\\\u0000"}'),
        ('{"a": "\\\\\\u0000"}', '{"a": "\\\\\\u0000"}'),
        ('{"k\\u0000": [1]}', '{"k\\u0000": [1]}'),
    ],
)
def test_contained(contains: Contains, document: str, wanted: str) -> None:
    assert contains(document, wanted) is True


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
        ('{"a": [1, 1]}', '{"a": [1]}'),
        ('{"a": [1, 2]}', '{"a": 1}'),
        ('{"a": [{"b": 1, "c": 2}]}', '{"a": [{"b": 1}]}'),
        ('{"a": [[1, 2]]}', '{"a": [[1]]}'),
        ('{"a": {"b": {"c": [1, 2]}}}', '{"a": {"b": {"c": [2]}}}'),
        ('{"a": [[1]]}', '{"a": [[true]]}'),
        ('{"a": 1}', '{"a": {}}'),
        ('{"a": {"b": 1}}', '{"a": []}'),
        ('{"a": [1]}', '{"a": {"0": 1}}'),
        ('{"a": [1]}', '{"a": {}}'),
        ("[1]", "{}"),
        ("[]", "{}"),
        ("null", "{}"),
        ('"text"', "{}"),
        ("no JSON", "{}"),
        ("", "{}"),
        (None, "{}"),
        ('{"a": "x\\u0000y"}', '{"a": "xy"}'),
        ('{"a": "\\u0000"}', '{"a": "\\\\u0000"}'),
        ('{"a": "\\\\u0000"}', '{"a": "\\u0000"}'),
        ('{"a": "\\u0000"}', '{"a": "\\u0000\\u0000"}'),
    ],
)
def test_not_contained(contains: Contains, document: str | None, wanted: str) -> None:
    assert contains(document, wanted) is False


def test_depth_is_no_trouble(contains: Contains) -> None:
    deep = '{"a":' * 1000 + "1" + "}" * 1000
    assert contains(deep, deep) is True
    assert contains(deep, deep.replace("1", "2")) is False
    deep = '{"a":' * 500 + "[1]" + "}" * 500
    assert contains(deep, deep) is True
    assert contains(deep, deep.replace("1", "2")) is False
    hopeless = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    assert contains(hopeless, '{"b": 1}') is False


def test_one_function_serves_several_questions(contains: Contains) -> None:
    assert [contains('{"a": 1}', f'{{"a": {value}}}') for value in (1, 2, 1)] == [
        True,
        False,
        True,
    ]


# Few different values, so that equal ones meet; and no floats, which are equal in JSON and
# in Python where Postgres sees another digit.
_SCALARS = st.sampled_from(
    [None, True, False, 0, 1, -1, 2**53 + 1, "", "a", "\0", "é\0\0", "[", "\\"]
)
_KEYS = st.sampled_from(["a", "b", "\0", "a,b"])
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_KEYS, _DOCUMENTS, max_size=3)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=_DOCUMENTS | _OBJECTS, wanted=_OBJECTS, data=st.data())
def test_both_databases_mean_the_same(
    connection: psycopg.Connection, document: Any, wanted: dict[str, Any], data: st.DataObject
) -> None:
    if isinstance(document, dict) and data.draw(st.booleans()):
        # Such as are contained, in whole or in part.
        kept = data.draw(st.sets(st.sampled_from(sorted(document) or ["a"])))
        wanted = {key: value for key, value in document.items() if key in kept}
    texts = json.dumps(document), json.dumps(wanted)
    assert postgres_function(connection)(*texts) is Containment()(*texts)


async def test_a_nul_in_a_document_hides_no_thread(storage: Storage) -> None:
    nul = '{"text": "a\\u0000b", "n": 1}'
    await add(storage, a_thread("nul", metadata=nul, values=nul), a_thread("other", values=nul))
    for which, names in (
        (ThreadFilter(metadata='{"n": 1}'), ["nul"]),
        (ThreadFilter(values='{"text": "a\\u0000b"}'), ["other", "nul"]),
        (ThreadFilter(values='{"text": "ab"}'), []),
        (ThreadFilter(assistant_id="\0"), []),
    ):
        found = await storage.read(lambda r, which=which: r.threads(which, limit=9))  # type: ignore[misc]
        assert [thread.thread_id for thread in found] == names
        assert await storage.read(lambda r, which=which: r.count_threads(which)) == len(names)  # type: ignore[misc]
