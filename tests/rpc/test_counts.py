"""Lists and maps of requests: each has a maximum, which is looked at before anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from graphwire import errors
from graphwire.v1 import breakpoint_pb2, payload_pb2, review_pb2, run_pb2, runs_pb2, threads_pb2
from graphwire_server.rpc import counts, payloads
from graphwire_server.rpc.counts import MAX_ITEMS, MOST, REQUESTS, check_counts

from tests.e2e.bad_input.case import at, value_type
from tests.e2e.drive import payload
from tests.e2e.wire import METHODS

#: Those of payloads in value form, which are counted together.
VALUES = {"google.protobuf.Struct.fields", "google.protobuf.ListValue.values"}


def lists(kind: Descriptor, prefix: str = "", seen: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Every list and map in a message type, with its path; in a type within itself only once."""
    for field in kind.fields:
        if field.is_repeated:
            yield f"{prefix}{field.name}", field
        child = value_type(field)
        if child is not None and child.full_name not in seen:
            inside = seen | {child.full_name}
            yield from lists(child, f"{prefix}{field.name}.", inside)


LISTS: dict[tuple[str, str], FieldDescriptor] = {
    (method, path): field
    for method, descriptor in METHODS.items()
    for path, field in lists(descriptor.input_type)
    if field.full_name not in VALUES
}


def test_every_list_and_map_of_every_request_has_a_maximum() -> None:
    found = {field.full_name for kind in REQUESTS.values() for _, field in lists(kind)}
    assert found - VALUES == set(MOST)
    assert found >= VALUES
    assert set(REQUESTS) == set(METHODS)


def filled(method: str, path: str, count: int) -> tuple[bytes, str]:
    """A request with so many items, as small as can be, at a path; and the path in an answer."""
    field = LISTS[method, path]
    request = GetMessageClass(METHODS[method].input_type)()
    above, _, name = path.rpartition(".")
    message, shown = at(request, above)
    content: Any = getattr(message, name)
    if field.message_type is None:
        content.extend([1 if field.enum_type else ""] * count)
    elif field.message_type.GetOptions().map_entry:
        for index in range(count):
            if field.message_type.fields_by_name["value"].message_type is None:
                content[f"{index}"] = ""
            else:
                content[f"{index}"].SetInParent()
    else:
        for _ in range(count):
            content.add()
    return request.SerializeToString(), f"{shown}{name}"


@pytest.mark.parametrize(("method", "path"), LISTS, ids=lambda each: each.rpartition("/")[2])
def test_as_many_as_may_be_are_taken_and_one_more_is_refused(method: str, path: str) -> None:
    most = MOST[LISTS[method, path].full_name]
    data, shown = filled(method, path, most)
    check_counts(REQUESTS[method], data)
    data, shown = filled(method, path, most + 1)
    with pytest.raises(errors.InvalidFieldError) as caught:
        check_counts(REQUESTS[method], data)
    (violation,) = caught.value.violations
    assert violation.field == shown
    assert violation.description == f"has {most + 1} items; at most {most} are allowed"
    batch = shown.startswith("requests[")
    assert caught.value.metadata == ({"request_index": "0"} if batch else {})


def test_nothing_is_read_in_a_list_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    look = counts._Counting.look

    def watched(self: Any, kind: Descriptor, data: bytes, path: str) -> None:
        looked_at.append(path)
        look(self, kind, data, path)

    monkeypatch.setattr(counts._Counting, "look", watched)
    batch = REQUESTS["/graphwire.v1.Runs/CreateRuns"]
    with pytest.raises(errors.InvalidFieldError):
        check_counts(batch, b"\x0a\x00" * 500_000)
    assert looked_at == [""]


def of_items(runs: int, each: int) -> bytes:
    """A batch of so many runs, each with so many breakpoints."""
    breakpoints = [breakpoint_pb2.Breakpoint()] * each
    one = runs_pb2.CreateRunRequest(breakpoints=breakpoints, interrupt_before=["a"] * each)
    return runs_pb2.CreateRunsRequest(requests=[one] * runs).SerializeToString()


def test_all_lists_together_have_a_maximum_too() -> None:
    batch = REQUESTS["/graphwire.v1.Runs/CreateRuns"]
    check_counts(batch, of_items(100, 99))
    with pytest.raises(errors.InvalidFieldError) as caught:
        check_counts(batch, of_items(100, 100))
    (violation,) = caught.value.violations
    assert violation.field == "requests[99]"
    assert violation.description == (
        f"brings the items of all lists and maps of the request to {MAX_ITEMS + 100}; at most "
        f"{MAX_ITEMS} are allowed"
    )


def test_a_message_that_comes_in_pieces_is_counted_as_the_one_that_is_made_of_them() -> None:
    def piece(first: int) -> bytes:
        answers = {f"{i}": payload(1) for i in range(first, first + 400)}
        return runs_pb2.CreateRunRequest(resume=run_pb2.Resume(answers=answers)).SerializeToString()

    kind = runs_pb2.CreateRunRequest.DESCRIPTOR
    check_counts(kind, piece(0) + piece(400))
    with pytest.raises(errors.InvalidFieldError, match="has 1200 items; at most 1000") as caught:
        check_counts(kind, piece(0) + piece(400) + piece(800))
    assert caught.value.violations[0].field == "resume.answers"
    empty = runs_pb2.CreateRunRequest(resume=run_pb2.Resume()).SerializeToString()
    with pytest.raises(errors.InvalidFieldError, match="has 101 pieces; at most 100") as caught:
        check_counts(kind, empty * 101)
    assert caught.value.violations[0].field == "resume"


def test_an_entry_of_a_map_is_named_by_its_key() -> None:
    review = review_pb2.Review(tool_calls=[review_pb2.ToolCallReview()] * 1001)
    request = runs_pb2.CreateRunRequest(resume=run_pb2.Resume(reviews={"a b": review}))
    with pytest.raises(errors.InvalidFieldError) as caught:
        check_counts(request.DESCRIPTOR, request.SerializeToString())
    assert caught.value.violations[0].field == "resume.reviews[a b].tool_calls"


def test_what_can_not_be_decoded_is_refused_as_such() -> None:
    with pytest.raises(DecodeError):
        check_counts(runs_pb2.CreateRunsRequest.DESCRIPTOR, b"\x0a\x05a")


# --- payloads in value form ---

LEAF = Value(null_value=0)  # type: ignore[arg-type]


def in_values(*forms: Value) -> threads_pb2.CreateThreadRequest:
    """A request with payloads in value form."""
    updates = [threads_pb2.StateUpdate(values=payload_pb2.Payload(value=form)) for form in forms]
    return threads_pb2.CreateThreadRequest(supersteps=[threads_pb2.Superstep(updates=updates)])


def listed(count: int) -> Value:
    """A list of nulls."""
    return Value(list_value=ListValue(values=[LEAF] * count))


def test_values_are_counted_over_the_whole_request_and_never_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payloads, "MAX_VALUES", 100)
    members = Value(struct_value=Struct(fields={f"{i}": LEAF for i in range(47)}))
    nested = Value(list_value=ListValue(values=[listed(24), listed(24)]))  # 51 with itself
    requests: list[Message] = [
        in_values(listed(99)),
        in_values(members, nested, LEAF),
        threads_pb2.CreateThreadRequest(metadata=payload([0] * 1000)),
    ]
    for request in requests:
        payloads.check_values(request)
    for too_many, there, path in (
        (in_values(listed(100)), 101, "supersteps[0].updates[0].values.value"),
        (in_values(members, nested, LEAF, LEAF), 101, "supersteps[0].updates[3].values.value"),
        (in_values(LEAF, listed(200_000)), 200_002, "supersteps[0].updates[1].values.value"),
    ):
        with pytest.raises(errors.InvalidPayloadError) as caught:
            payloads.check_values(too_many)
        (violation,) = caught.value.violations
        assert violation.field == path
        assert violation.description == (
            f"brings the values in value form of the request to {there}; at most 100 are "
            "allowed: send them in json form, as text"
        )
