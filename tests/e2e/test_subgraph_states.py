"""States of subgraphs: read, listed and edited by their namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphwire.v1 import breakpoint_pb2, pause_pb2, threads_pb2, threads_pb2_grpc

from tests.e2e.callers import at_once
from tests.e2e.drive import DEADLINE, pause_shape, payload, refused, shapes, value
from tests.e2e.driven import DrivenThread
from tests.e2e.stopping import INTO, add, at, ended, pauses_at, waits

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def log(state: threads_pb2.ThreadState) -> list[str]:
    found: list[str] = value(state.values)["log"]
    return found


def history(thread: DrivenThread, **fields: Any) -> list[threads_pb2.ThreadState]:
    """The states that are listed, by pages of one and at once."""

    def pages(size: int) -> Iterator[threads_pb2.ThreadState]:
        token = ""
        while True:
            request = threads_pb2.ListThreadHistoryRequest(
                thread_id=thread.thread_id, page_size=size, page_token=token, **fields
            )
            response = thread.threads_stub.ListThreadHistory(request, timeout=DEADLINE)
            yield from response.states
            token = response.next_page_token
            if not token:
                return

    whole = list(pages(1000))
    assert list(pages(1)) == whole
    return whole


def inside(thread: DrivenThread, *, level: int = 1) -> list[str]:
    """The namespace of the first pause, so many levels down."""
    return list(thread.pauses[0].namespace)[:level]


# --- reading ---


def test_the_state_of_a_subgraph_is_that_in_its_task(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    namespace = inside(thread)
    nested = thread.state(subgraphs=True).tasks[0].state
    state = thread.state(namespace=namespace)
    assert (list(state.namespace), state.checkpoint_id) == (namespace, nested.checkpoint_id)
    assert (log(state), list(state.next)) == (["in", "one"], ["two"])
    assert list(state.pauses) == thread.pauses
    del state.pauses[:]
    assert state == nested


def test_a_subgraph_of_a_subgraph_has_a_state_too(thread: DrivenThread) -> None:
    thread.start("deep")
    (pause,) = thread.pauses
    middle, low = inside(thread), inside(thread, level=2)
    assert list(pause.namespace) == low
    assert log(thread.state(namespace=low)) == ["in", "one"]
    state = thread.state(namespace=middle, subgraphs=True)
    assert (list(state.next), list(state.pauses)) == (["low"], [pause])
    assert log(state.tasks[0].state) == ["in", "one"]


def test_a_subgraph_with_a_memory_has_its_namespace_without_tasks(thread: DrivenThread) -> None:
    thread.start("stop_in_child_with_memory")
    state = thread.state(namespace=["child"])
    assert list(state.namespace) == ["child"]
    assert list(state.pauses) == thread.pauses


def test_a_subgraph_has_a_history_of_its_own(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    namespace = inside(thread)
    states = history(thread, namespace=namespace)
    assert [(log(s), list(s.next)) for s in states] == [
        (["in", "one"], ["two"]),
        (["in"], ["one"]),
        ([], ["__start__"]),
    ]
    assert [len(state.pauses) for state in states] == [1, 0, 0]
    assert {tuple(state.namespace) for state in states} == {tuple(namespace)}
    for state in states:
        assert thread.state(namespace=namespace, checkpoint_id=state.checkpoint_id) == state
    # The root has its own.
    assert [list(s.next) for s in history(thread)] == [["child"], ["__start__"]]


def test_a_checkpoint_of_another_graph_is_none_of_a_subgraph(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    namespace, head = inside(thread), thread.now.checkpoint_id
    inner = thread.state(namespace=namespace).checkpoint_id
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        thread.state(namespace=namespace, checkpoint_id=head)
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        thread.state(checkpoint_id=inner)
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND") as refusal:
        thread.state(namespace=["child:elsewhere"])
    assert refusal.resource == ("checkpoint", "child:elsewhere")
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND") as refusal:
        history(thread, namespace=["child:elsewhere"])
    assert refusal.text == (
        f"thread {thread.thread_id} has no checkpoint of the subgraph ['child:elsewhere']"
    )
    # A filter may leave nothing of what is there.
    assert history(thread, namespace=namespace, metadata=payload({"source": "fork"})) == []
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "namespace") as refusal:
        thread.state(namespace=["nobody:1"])
    assert refusal.text == (
        "namespace: there is no subgraph 'nobody' in the graph, which has: child"
    )
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "namespace"):
        history(thread, namespace=[*namespace, "nobody:1"])


def test_a_subgraph_with_a_memory_has_an_empty_history_before_it_runs(
    thread: DrivenThread,
) -> None:
    thread.start("ask_in_child_with_memory", interrupt_before=["child"])
    assert history(thread, namespace=["child"]) == []
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        history(thread, namespace=["child:1"])  # one with a memory has no tasks in it
    thread.resume()
    assert len(history(thread, namespace=["child"])) == 3


# --- history ---


def test_history_begins_before_a_checkpoint(thread: DrivenThread) -> None:
    thread.start("linear")
    whole = history(thread)
    for index, state in enumerate(whole):
        assert history(thread, before_checkpoint_id=state.checkpoint_id) == whole[index + 1 :]
    upper = whole[1].checkpoint_id.upper()
    assert history(thread, before_checkpoint_id=upper) == whole[2:]
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        history(thread, before_checkpoint_id=UNKNOWN)


@pytest.mark.parametrize(
    ("metadata", "steps"),
    [
        ({"source": "update"}, [4]),
        ({"source": "loop"}, [3, 2, 1, 0]),
        ({"source": "loop", "step": 2}, [2]),
        ({"step": 2.0}, [2]),
        ({"parents": {}}, [4, 3, 2, 1, 0, -1]),
        ({"source": "fork"}, []),
        ({"nothing": None}, []),
        ({}, [4, 3, 2, 1, 0, -1]),
    ],
    ids=str,
)
def test_history_is_found_by_its_metadata(
    thread: DrivenThread, metadata: dict[str, Any], steps: list[int]
) -> None:
    thread.start("linear")
    thread.edit({"log": ["x"]}, as_node="a")
    found = history(thread, metadata=payload(metadata))
    assert [value(state.metadata)["step"] for state in found] == steps


def test_history_is_found_by_the_run_that_made_it(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    run_id = thread.resume()[0].run_id
    found = history(thread, metadata=payload({"run_id": run_id}))
    assert [list(state.next) for state in found] == [[], ["c"]]
    before = found[0].checkpoint_id
    assert (
        history(thread, metadata=payload({"run_id": run_id}), before_checkpoint_id=before)
        == found[1:]
    )


# --- editing ---


def test_a_subgraph_goes_on_with_the_state_that_it_was_given(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    namespace, (pause,), head = inside(thread), thread.pauses, thread.now.checkpoint_id
    before = thread.state(namespace=namespace)
    edited = thread.edit({"log": ["EDITED"]}, namespace=namespace)
    assert (log(edited), list(edited.next)) == (["in", "one", "EDITED"], ["two"])
    assert edited.parent_checkpoint_id == before.checkpoint_id
    assert list(edited.namespace) == namespace
    # The root stands where it did, and there is a new pause for the new checkpoint.
    assert thread.now.checkpoint_id == head
    assert thread.stands() == ("INTERRUPTED", ["child"], [("BREAKPOINT_BEFORE", "child/two")])
    (again,) = thread.pauses
    assert list(edited.pauses) == [again]
    assert again.pause_id != pause.pause_id
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])
    assert thread.state(namespace=namespace) == edited
    assert shapes(thread.resume())[-1] == DONE
    assert thread.log == ["in", "in", "one", "EDITED", "two", "after"]


def test_as_a_node_of_the_subgraph_it_goes_on_behind_that(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    edited = thread.edit({"log": ["instead"]}, namespace=inside(thread), as_node="two")
    assert (list(edited.next), list(edited.pauses)) == ([], [])
    # It has only to end.
    assert thread.stands() == ("INTERRUPTED", ["child"], [("PAUSE", "child")])
    (pause,) = thread.pauses
    assert shapes(thread.resume(pause_ids=[pause.pause_id])) == [
        ("updates", "child", {"log": ["in", "one", "instead"]}),
        *ran("after"),
        DONE,
    ]


def test_an_older_checkpoint_of_the_subgraph_is_gone_back_to(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    namespace = inside(thread)
    first = history(thread, namespace=namespace)[1]
    edited = thread.edit(
        {"log": ["again"]}, namespace=namespace, checkpoint_id=first.checkpoint_id, as_node="one"
    )
    assert (log(edited), list(edited.next)) == (["in", "again"], ["two"])
    assert thread.stands() == ("INTERRUPTED", ["child"], [("BREAKPOINT_BEFORE", "child/two")])
    thread.resume()
    assert thread.log == ["in", "in", "again", "two", "after"]


def test_a_question_in_a_subgraph_is_asked_again_after_an_edit(thread: DrivenThread) -> None:
    thread.start("ask_in_child")
    (asked,) = thread.pauses
    thread.edit({"log": ["EDITED"]}, namespace=list(asked.namespace), as_node="first")
    assert thread.stands() == ("INTERRUPTED", ["child"], [("PAUSE", "child/ask")])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answers={asked.interrupt_id: "to the old one"})
    assert shapes(thread.resume())[-1] == PAUSED
    (again,) = thread.pauses
    assert (pause_shape(again), again.pause_id != asked.pause_id) == (pause_shape(asked), True)
    thread.resume(answer="to the new one")
    assert "child: 'to the new one'" in thread.log
    assert "EDITED" in thread.log


def test_a_question_is_answered_by_an_edit_in_its_place(thread: DrivenThread) -> None:
    thread.start("ask_in_child")
    thread.edit({"log": ["answered"]}, namespace=inside(thread), as_node="ask")
    assert shapes(thread.resume())[-1] == DONE
    assert thread.log[-2:] == ["answered", "after"]


def test_an_edit_far_down_leaves_what_is_above_it(thread: DrivenThread) -> None:
    thread.start("deep")
    low = inside(thread, level=2)
    edited = thread.edit({"log": ["EDITED"]}, namespace=low)
    assert list(edited.next) == ["two"]
    assert thread.stands() == (
        "INTERRUPTED",
        ["middle"],
        [("BREAKPOINT_BEFORE", "middle/low/two")],
    )
    assert shapes(thread.resume())[-1] == PAUSED
    thread.resume(answer="yes")
    thread.resume()
    assert [entry for entry in thread.log if entry in ("EDITED", "two: 'yes'", "three")] == [
        "EDITED",
        "two: 'yes'",
        "three",
    ]


def test_a_subgraph_with_a_memory_is_edited_as_well(thread: DrivenThread) -> None:
    thread.start("stop_in_child_with_memory")
    before = thread.stands()
    edited = thread.edit({"log": ["EDITED"]}, namespace=["child"])
    assert "EDITED" in log(edited)
    assert thread.stands() == before
    assert shapes(thread.resume())[-1] == DONE
    assert "EDITED" in thread.log


def test_what_waits_beside_the_subgraph_goes_on_to_wait(thread: DrivenThread) -> None:
    thread.start("stop_and_ask")
    by_kind = {pause.kind: pause for pause in thread.pauses}
    stop = by_kind[pause_pb2.PAUSE_KIND_BREAKPOINT_BEFORE]
    question = by_kind[pause_pb2.PAUSE_KIND_INTERRUPT]
    edited = thread.edit({"log": ["EDITED"]}, namespace=list(stop.namespace))
    (new,) = edited.pauses
    kept = {pause.pause_id for pause in thread.pauses}
    assert kept == {question.pause_id, new.pause_id}
    assert new.pause_id != stop.pause_id
    thread.resume(answers={question.pause_id: "yes"}, pause_ids=[new.pause_id])
    assert thread.status == "IDLE"
    assert {"EDITED", "danger", "beside: 'yes'"} <= {*thread.log}


def test_beside_what_goes_on_to_wait_the_edited_subgraph_has_a_pause_of_its_own(
    thread: DrivenThread,
) -> None:
    thread.start("stop_and_ask")
    (question,) = (p for p in thread.pauses if p.kind == pause_pb2.PAUSE_KIND_INTERRUPT)
    (stop,) = (p for p in thread.pauses if p.pause_id != question.pause_id)
    thread.edit({"log": ["instead"]}, namespace=list(stop.namespace), as_node="danger")
    now = {pause.node: pause for pause in thread.pauses}
    assert now.keys() == {"ask", "child"}
    assert now["ask"].pause_id == question.pause_id
    assert (now["child"].kind, list(now["child"].namespace)) == (pause_pb2.PAUSE_KIND_PAUSE, [])
    thread.resume(pause_ids=[now["child"].pause_id])
    assert [pause.pause_id for pause in thread.pauses] == [question.pause_id]
    thread.resume(answer="yes")
    assert {"instead", "beside: 'yes'"} <= {*thread.log}
    assert "danger" not in thread.log


def test_breakpoints_in_the_subgraph_hold_where_the_edit_leads(thread: DrivenThread) -> None:
    condition = "state.log.exists(entry, entry == 'stop')"
    inner = breakpoint_pb2.Breakpoint(node="child/ask", condition=condition)
    thread.start("ask_in_child", breakpoints=[inner])
    namespace, asked = inside(thread), [("INTERRUPT", "child/ask", {"question": "child"})]
    assert thread.stands()[2] == asked
    thread.edit({"log": ["EDITED"]}, namespace=namespace, as_node="first")
    assert thread.stands()[2] == [("PAUSE", "child/ask")]
    thread.edit({"log": ["stop"]}, namespace=namespace, as_node="first")
    assert thread.stands()[2] == [("BREAKPOINT_BEFORE", "child/ask")]
    thread.resume()
    assert thread.stands()[2] == asked


def test_an_edit_of_the_root_leaves_a_pause_where_a_subgraph_was_paused_inside(
    thread: DrivenThread,
) -> None:
    thread.start("pair", breakpoints=[at("left"), at("right")])
    (pause_id,) = pauses_at(thread, "right")
    run_id = thread.resume(pause_ids=[pause_id], step=INTO, clear_breakpoints=True)[0].run_id
    assert waits(thread.pauses) == ["before left", "pause right/c"]
    add(thread.runs_stub, run_id, at("left"))
    thread.edit({"log": ["x"]}, as_node="__start__")
    assert waits(thread.pauses) == ["before left", "pause right"]
    # So who approves the one lets nothing of the other run.
    (pause_id,) = pauses_at(thread, "left")
    assert ended(thread.resume(pause_ids=[pause_id])) == ("INTERRUPTED", ["pause right"])
    assert thread.log == ["in", "x", "in", "x", "a", "b"]
    assert ended(thread.resume()) == ("SUCCEEDED", [])


def test_of_edits_at_once_each_goes_on_from_the_one_before(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    namespace = inside(thread)
    at_once(lambda: thread.edit({"log": ["one more"]}, namespace=namespace))
    assert log(thread.state(namespace=namespace)) == ["in", "one", *["one more"] * 8]
    assert len(thread.pauses) == 1


def test_an_edit_with_a_request_id_is_made_once(thread: DrivenThread, once: str) -> None:
    thread.start("stop_in_child")
    namespace = inside(thread)
    fields: dict[str, Any] = {"namespace": namespace, "request_id": once}
    edited = thread.edit({"log": ["x"]}, **fields)
    assert thread.edit({"log": ["x"]}, **fields) == edited
    assert log(edited) == ["in", "one", "x"]
    with thread.refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        thread.edit({"log": ["x"]}, request_id=once)


@pytest.mark.parametrize(
    ("namespace", "fields", "reason", "field"),
    [
        (["child:elsewhere"], {}, "INVALID_FIELD", "namespace"),
        (["child"], {}, "INVALID_FIELD", "namespace"),
        (["nobody:1"], {}, "INVALID_FIELD", "namespace"),
        (None, {"as_node": "child"}, "UNKNOWN_NODE", "as_node"),
        (None, {"as_node": "after"}, "UNKNOWN_NODE", "as_node"),
        (None, {"values": {"lgo": 1}}, "INVALID_UPDATE", "values"),
    ],
    ids=str,
)
def test_an_edit_that_does_not_fit_the_subgraph_is_refused(
    thread: DrivenThread,
    namespace: list[str] | None,
    fields: dict[str, Any],
    reason: str,
    field: str,
) -> None:
    thread.start("stop_in_child")
    where = inside(thread) if namespace is None else namespace
    with thread.refused("INVALID_ARGUMENT", reason, field):
        thread.edit(**{"values": {"log": ["x"]}, "namespace": where, **fields})


def test_only_a_subgraph_in_which_the_thread_stands_is_edited(
    thread: DrivenThread, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread.start("stop_in_child")
    namespace = inside(thread)
    thread.resume()
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "namespace") as refusal:
        thread.edit({"log": ["x"]}, namespace=namespace)
    assert "it stands in the root alone" in refusal.text
    # It can be read all the same.
    assert log(thread.state(namespace=namespace)) == ["in", "one", "two"]
    new = DrivenThread(thread.runs_stub, threads)
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "namespace"):
        new.edit({"log": ["x"]}, namespace=namespace, assistant_id="stop_in_child")
    with refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        new.state(namespace=namespace)
    with refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        history(new, namespace=namespace)
