"""Requests of many tiny items, for each RPC and each list in it: refused by their number alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor
from graphwire.v1 import run_pb2, runs_pb2, server_pb2, threads_pb2
from graphwire_server.rpc.counts import MAX_ITEMS, MOST
from graphwire_server.rpc.payloads import MAX_VALUES

from tests.e2e.bad_input.case import at, value_type
from tests.e2e.drive import DEADLINE, refused
from tests.e2e.wire import METHODS, PATHS, call, request_type
from tests.limits.limited import Limited, limited
from tests.limits.test_table import PAGE
from tests.rpc.test_counts import LISTS, in_values, listed, of_items

#: How many tiny items a request has.
MANY = 300_000


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """A server with the limits that it has by itself."""
    with limited(tmp_path_factory.mktemp("counts")) as server:
        yield server


@pytest.fixture(autouse=True)
def _still_serves(plain: Limited) -> Iterator[None]:
    yield
    assert plain.server.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE).version


def flooded(method: str, path: str) -> tuple[bytes, str]:
    """A request with very many items of two bytes at a path; and the path in an answer."""
    field = LISTS[method, path]
    above, _, name = path.rpartition(".")
    _, shown = at(request_type(METHODS[method].name)(), above)
    # 99 is no value of any enum: whoever looked at them would say so.
    kind, value = (0, b"\x63") if field.enum_type is not None else (2, b"\x00")
    items = (_varint(field.number << 3 | kind) + value) * MANY
    return _around(METHODS[method].input_type, above, items), f"{shown}{name}"


def _around(kind: Descriptor, path: str, content: bytes) -> bytes:
    """A message of a type, made by hand, that has only these bytes, at a path."""
    name, _, rest = path.partition(".")
    if not name:
        return content
    field = kind.fields_by_name[name]
    inner = value_type(field)
    assert inner is not None
    content = _around(inner, rest, content)
    if field.message_type is not inner:  # of a map: its key is k
        content = _field(1, b"k") + _field(2, content)
    return _field(field.number, content)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


@pytest.mark.parametrize("name", sorted({method.rpartition("/")[2] for method, _ in LISTS}))
def test_many_tiny_items_are_refused_by_their_number_before_anybody_looks_at_one(
    plain: Limited, name: str
) -> None:
    method = PATHS[name]
    for (each, path), field in LISTS.items():
        if each != method:
            continue
        data, shown = flooded(method, path)
        with refused("INVALID_ARGUMENT", "INVALID_FIELD", shown) as refusal:
            call(plain.channel, name, data)
        most = MOST[field.full_name]
        assert refusal.fields == {shown: f"has {MANY} items; at most {most} are allowed"}


def test_the_page_names_each_list_and_map_with_its_maximum() -> None:
    start = PAGE.index("<!-- test: counts -->")
    table = PAGE[start : PAGE.index("<!-- end of counts -->")]
    named: dict[str, int] = {}
    for line in table.splitlines()[3:]:
        most, fields, *_ = re.split(r"\s*\|\s*", line.strip("| "))
        named |= dict.fromkeys(re.findall(r"`([^`]+)`", fields), int(most))
    together = {"all of them together": MAX_ITEMS, "values in value form": MAX_VALUES}
    assert {name: named.pop(name) for name in together} == together
    assert named == {name.rpartition("v1.")[2]: most for name, most in MOST.items()}


def test_values_of_payloads_are_refused_by_their_number(plain: Limited) -> None:
    request = in_values(listed(MANY))
    field = "supersteps[0].updates[0].values.value"
    with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", field) as refusal:
        call(plain.channel, "CreateThread", request)
    assert f"to {MANY + 1}; at most {MAX_VALUES} are allowed" in refusal.text


def test_all_lists_of_a_request_are_refused_by_their_number_together(plain: Limited) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "requests[99]") as refusal:
        call(plain.channel, "CreateRuns", of_items(100, 100))
    assert f"at most {MAX_ITEMS} are allowed" in refusal.text
    assert refusal.metadata["request_index"] == "99"


def test_of_very_many_unknown_fields_some_are_named(plain: Limited) -> None:
    data = threads_pb2.CreateThreadRequest(thread_id="unknown").SerializeToString()
    with refused("INVALID_ARGUMENT", "UNKNOWN_FIELD", "#1011") as refusal:
        call(plain.channel, "CreateThread", data + b"\x9a\x3f\x00" * MANY)
    assert refusal.metadata["fields"] == "#1011"


def test_a_batch_that_is_wrong_in_each_of_too_many_requests_is_refused_by_their_number(
    plain: Limited,
) -> None:
    unknown = runs_pb2.CreateRunRequest.FromString(b"\x9a\x3f\x00")
    unknown.multitask_strategy = 99  # type: ignore[assignment]
    resume = runs_pb2.CreateRunRequest(resume=run_pb2.Resume())
    both = _field(1, unknown.SerializeToString() + resume.SerializeToString() + b"\x1a\x00")
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "requests") as refusal:
        call(plain.channel, "CreateRuns", both * 101)
    assert refusal.fields == {"requests": "has 101 items; at most 100 are allowed"}
