"""Assistants that somebody has made, and their versions: what they are, and how they are listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import breakpoint_pb2, run_pb2

from tests.e2e.callers import CALLERS, at_once
from tests.e2e.drive import payload, refused, shapes, value
from tests.e2e.driven import DrivenThread
from tests.e2e.made import DONE, PAUSED, Driver, breakpoint_, serving, stubs
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def grpc_channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A channel to a server of this file's own, on which nobody else makes assistants."""
    with serving(tmp_path_factory.mktemp("made")) as channel:
        yield channel


# --- to create ---


def test_an_assistant_is_all_that_it_was_made_of(made: Driver) -> None:
    assistant = made.create(
        "stops",
        assistant_id="full",
        name="Full",
        description="Has everything",
        config=run_pb2.RunConfig(
            recursion_limit=7, tags=["x"], configurable=payload({"b": 2**60, "a": None})
        ),
        context=payload({"user": 7}),
        metadata=payload({"team": {"n": 1.0}}),
        breakpoints=[
            breakpoint_("*", position="BREAKPOINT_POSITION_AFTER", breakpoint_id="all"),
            breakpoint_("a", condition="step > 100", label="late", skip_first=2),
        ],
    )
    assert assistant == made.get("full")
    assert (assistant.assistant_id, assistant.graph_id, assistant.version) == ("full", "stops", 1)
    assert (assistant.name, assistant.description) == ("Full", "Has everything")
    assert assistant.config.recursion_limit == 7
    assert list(assistant.config.tags) == ["x"]
    assert assistant.config.configurable.json == '{"b":1152921504606846976,"a":null}'
    assert (value(assistant.context), value(assistant.metadata)) == (
        {"user": 7},
        {"team": {"n": 1}},
    )
    first, second = assistant.breakpoints
    assert (first.node, first.breakpoint_id) == ("*", "all")
    assert first.position == breakpoint_pb2.BREAKPOINT_POSITION_AFTER
    assert (second.condition, second.label, second.skip_first) == ("step > 100", "late", 2)
    assert second.breakpoint_id
    assert {each.source for each in assistant.breakpoints} == {
        breakpoint_pb2.BREAKPOINT_SOURCE_ASSISTANT
    }
    assert not assistant.built_in
    assert assistant.create_time == assistant.update_time
    assert (list(assistant.interrupt_before), list(assistant.interrupt_after)) == (["b"], ["c"])


def test_an_assistant_of_a_graph_alone_has_an_id_and_a_name(made: Driver) -> None:
    assistant = made.create()
    assert len(assistant.assistant_id) == 36
    assert (assistant.name, assistant.description) == ("Untitled", "")
    assert not assistant.HasField("config")
    assert not assistant.HasField("context")
    assert value(assistant.metadata) == {}
    assert list(assistant.breakpoints) == []


def test_an_id_that_is_taken_is_refused_or_returned_as_it_is(made: Driver) -> None:
    first = made.create(assistant_id="taken", name="first")
    for assistant_id in ("taken", "router"):
        with refused("ALREADY_EXISTS", "ASSISTANT_EXISTS") as refusal:
            made.create(assistant_id=assistant_id)
        assert refusal.resource == ("assistant", assistant_id)
        there = made.create(
            assistant_id=assistant_id,
            name="second",
            if_exists=pb.IF_ASSISTANT_EXISTS_RETURN,
        )
        assert there == made.get(assistant_id)
    assert made.get("taken") == first


class TestARequestId:
    """request_id of the calls that make and change assistants."""

    def test_makes_one_assistant_however_often_it_is_sent(self, made: Driver, once: str) -> None:
        fields: dict[str, Any] = {
            "metadata": payload({"once": once}),
            "breakpoints": [breakpoint_("b")],
            "request_id": once,
        }
        ids = {each.assistant_id for each in at_once(lambda: made.create(**fields))}
        assert len(ids) == 1
        (assistant_id,) = ids
        assert made.list(filter=pb.AssistantFilter(metadata=payload({"once": once}))) == [
            assistant_id
        ]
        changed = made.update(assistant_id, name="changed")
        assert made.create(**fields) == changed
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            made.create(**{**fields, "breakpoints": [breakpoint_("c")]})
        made.delete(assistant_id)
        with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND") as refusal:
            made.create(**fields)
        assert refusal.text == (
            f"assistant {assistant_id}, which this request_id created, was deleted"
        )

    def test_makes_one_version_however_often_it_is_sent(self, made: Driver, once: str) -> None:
        assistant_id = made.create().assistant_id
        fields: dict[str, Any] = {
            "name": "new",
            "breakpoints": breakpoint_pb2.BreakpointList(breakpoints=[breakpoint_("b")]),
            "request_id": once,
        }
        versions = {each.version for each in at_once(lambda: made.update(assistant_id, **fields))}
        assert versions == {2}
        assert made.update(assistant_id, **fields).version == 2
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            made.update(assistant_id, **{**fields, "name": "other"})
        assert [each.version for each in made.versions(assistant_id)] == [2, 1]


# --- versions ---


def test_a_change_makes_a_version_and_leaves_what_it_does_not_name(made: Driver) -> None:
    first = made.create(
        name="n",
        description="d",
        config=run_pb2.RunConfig(tags=["x"]),
        context=payload({"user": 7}),
        metadata=payload({"a": 1, "b": {"c": 1}}),
        breakpoints=[breakpoint_("b", breakpoint_id="one")],
    )
    second = made.update(
        first.assistant_id, metadata=payload({"a": None, "b": {"d": 2}}), graph_id="stops"
    )
    expected = pb.Assistant()
    expected.CopyFrom(first)
    expected.version = 2
    expected.graph_id = "stops"
    expected.metadata.json = '{"b":{"c":1,"d":2}}'
    expected.interrupt_before.append("b")
    expected.interrupt_after.append("c")
    expected.update_time.CopyFrom(second.update_time)
    assert second == expected == made.get(first.assistant_id)
    assert second.update_time.ToNanoseconds() > first.update_time.ToNanoseconds()

    third = made.update(
        first.assistant_id,
        name="",
        description="",
        config=run_pb2.RunConfig(),
        context=payload({}),
        breakpoints=breakpoint_pb2.BreakpointList(),
    )
    assert (third.version, third.name, third.description) == (3, "Untitled", "")
    assert not third.HasField("config")
    assert (value(third.context), list(third.breakpoints)) == ({}, [])
    assert made.versions(first.assistant_id) == [third, second, first]
    with_c = made.versions(first.assistant_id, metadata=payload({"b": {"c": 1}, "a": 1}))
    assert with_c == [first]


def test_of_changes_at_once_each_makes_a_version_and_none_is_lost(made: Driver) -> None:
    assistant_id = made.create().assistant_id
    numbers = iter(range(CALLERS))

    def change() -> int:
        number = next(numbers)
        changed = made.update(
            assistant_id,
            metadata=payload({f"k{number}": number}),
            config=run_pb2.RunConfig(tags=[f"t{number}"]),
        )
        assert value(changed.metadata)[f"k{number}"] == number
        assert list(changed.config.tags) == [f"t{number}"]
        return changed.version

    assert sorted(at_once(change)) == list(range(2, CALLERS + 2))
    assert value(made.get(assistant_id).metadata) == {f"k{n}": n for n in range(CALLERS)}
    assert [each.version for each in made.versions(assistant_id)] == list(range(CALLERS + 1, 0, -1))


def test_another_graph_must_have_the_nodes_of_the_breakpoints(made: Driver) -> None:
    assistant_id = made.create(breakpoints=[breakpoint_("b")]).assistant_id
    field = "breakpoints.breakpoints[0].node"
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", field):
        made.update(assistant_id, graph_id="router")
    emptied = made.update(
        assistant_id, graph_id="router", breakpoints=breakpoint_pb2.BreakpointList()
    )
    assert (emptied.version, emptied.graph_id) == (2, "router")


def test_an_older_version_can_be_made_the_latest(made: Driver) -> None:
    first = made.create(name="first")
    assistant_id = first.assistant_id
    second = made.update(assistant_id, name="second")
    assert made.set_latest(assistant_id, 1) == first == made.get(assistant_id)
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND") as refusal:
        made.set_latest(assistant_id, 3)
    assert refusal.text == f"assistant '{assistant_id}' has no version 3; its newest is 2"
    # The next version is made of what is the latest now, under a number of its own.
    third = made.update(assistant_id, description="third")
    assert (third.version, third.name, third.description) == (3, "first", "third")
    assert made.versions(assistant_id) == [third, second, first]


def test_a_graph_of_the_file_has_versions_too(made: Driver) -> None:
    first = made.get("loop")
    assert first.built_in
    assert (first.version, first.name, first.graph_id) == (1, "loop", "loop")
    assert value(first.metadata) == {"created_by": "system"}
    assert made.versions("loop") == [first]
    assert made.set_latest("loop", 1) == first

    second = made.update(
        "loop",
        name="Loop",
        config=run_pb2.RunConfig(recursion_limit=5),
        breakpoints=breakpoint_pb2.BreakpointList(breakpoints=[breakpoint_("step")]),
    )
    assert second.built_in
    assert (second.version, second.name) == (2, "Loop")
    assert made.get("loop") == second
    assert made.versions("loop") == [second, first]
    assert made.versions("loop", metadata=payload({"created_by": "somebody"})) == []
    assert made.list(filter=pb.AssistantFilter(graph_id="loop")) == ["loop"]
    assert made.set_latest("loop", 1) == first == made.get("loop")
    assert made.list(filter=pb.AssistantFilter(name="Loop", graph_id="loop")) == ["loop"]
    third = made.update("loop", description="d")
    assert (third.version, third.name, list(third.breakpoints)) == (3, "loop", [])
    assert made.set_latest("loop", 1) == first


def test_first_changes_of_a_graph_at_once_each_make_a_version(made: Driver) -> None:
    numbers = iter(range(CALLERS))

    def change() -> int:
        return made.update("handled", metadata=payload({f"k{next(numbers)}": 1})).version

    assert sorted(at_once(change)) == list(range(2, CALLERS + 2))
    assert len(value(made.get("handled").metadata)) == CALLERS + 1
    made.set_latest("handled", 1)


@pytest.mark.parametrize("order", ["NAME", "ASSISTANT_ID", "CREATE_TIME", "UPDATE_TIME"])
def test_assistants_are_listed_in_every_order(made: Driver, once: str, order: str) -> None:
    mark = payload({"listed": once})
    ids = [f"{name}-{order.lower()}" for name in ("b", "c", "a")]
    for assistant_id, name in zip(ids, ("x", "Y", "x"), strict=True):
        made.create(assistant_id=assistant_id, name=name, metadata=mark)
    made.update(ids[0], description="later")
    b, c, a = ids
    expected = {
        "NAME": [c, a, b],
        "ASSISTANT_ID": [a, b, c],
        "CREATE_TIME": [b, c, a],
        "UPDATE_TIME": [c, a, b],
    }[order]
    which = pb.AssistantFilter(metadata=mark)
    order_by = f"ASSISTANT_ORDER_{order}"
    assert made.list(filter=which, order_by=order_by) == expected
    assert made.list(filter=which, order_by=order_by, descending=True) == expected[::-1]
    y = pb.AssistantFilter(metadata=mark, name="y", graph_id="linear")
    assert made.list(filter=y) == [c]


# --- all of it ---


def test_all_of_it_works_on_postgres_too(postgres_url: str) -> None:
    server = ServerProcess(postgres_url).start()
    try:
        with grpc.insecure_channel(server.address) as channel:
            _work_with(*stubs(channel))
    finally:
        assert server.stop() == 0, server.log


def _work_with(made: Driver, thread: DrivenThread) -> None:
    numbers = iter(range(CALLERS))
    versions = at_once(
        lambda: made.update("linear", metadata=payload({f"k{next(numbers)}": 1})).version
    )
    assert sorted(versions) == list(range(2, CALLERS + 2))
    assert len(value(made.get("linear").metadata)) == CALLERS + 1
    assert made.set_latest("linear", 1).version == 1
    assert len(made.versions("linear", metadata=payload({"created_by": "system"}))) == CALLERS + 1

    made.create(assistant_id="mine", name="100 % Mine", breakpoints=[breakpoint_("b")])
    for order in ("NAME", "ASSISTANT_ID", "CREATE_TIME", "UPDATE_TIME", "GRAPH_ID"):
        listed = made.list(page_size=30, order_by=f"ASSISTANT_ORDER_{order}")
        turned = made.list(page_size=30, order_by=f"ASSISTANT_ORDER_{order}", descending=True)
        assert listed == turned[::-1]
        assert len({*listed}) == len(listed)
        assert {"mine", "linear", "router"} < {*listed}
    assert made.list(filter=pb.AssistantFilter(name="% mine", graph_id="linear")) == ["mine"]
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.get("a\0b")
    assert made.list(filter=pb.AssistantFilter(name="\0")) == []

    assert shapes(thread.start("mine"))[-1] == PAUSED
    made.update("mine", breakpoints=breakpoint_pb2.BreakpointList())
    with refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE"):
        made.delete("mine")
    assert shapes(thread.resume())[-1] == DONE
    assert thread.runs()[0].assistant_version == 1
    assert shapes(thread.start("mine"))[-1] == DONE
    made.delete("mine", delete_threads=True)
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        _ = thread.now
