"""A thread's state: read at any checkpoint, edited, forked, and gone back to."""

from __future__ import annotations

import re
from typing import Any

import pytest
from graphwire.v1 import breakpoint_pb2, payload_pb2, run_pb2, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, pause_shape, payload, shapes, value
from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


# --- reading ---


def test_a_thread_on_which_nothing_has_run_has_an_empty_state(thread: DrivenThread) -> None:
    assert thread.state() == threads_pb2.ThreadState(metadata=payload({}))
    assert thread.history() == []


def test_the_state_of_a_thread_at_its_end(thread: DrivenThread) -> None:
    events = thread.start("linear")
    state = thread.state()
    assert value(state.values) == {"log": ["in", "a", "b", "c"]}
    assert (list(state.next), list(state.tasks), list(state.pauses)) == ([], [], [])
    assert state.checkpoint_id == thread.now.checkpoint_id == events[-1].end.checkpoint_id
    assert state.create_time.seconds
    metadata = value(state.metadata)
    assert (metadata["source"], metadata["step"]) == ("loop", 3)
    assert metadata["run_id"] == events[0].run_id


def test_the_state_can_be_read_at_each_checkpoint(thread: DrivenThread) -> None:
    thread.start("linear")
    history = thread.history()
    assert [(value(s.values)["log"], list(s.next)) for s in history] == [
        (["in", "a", "b", "c"], []),
        (["in", "a", "b"], ["c"]),
        (["in", "a"], ["b"]),
        (["in"], ["a"]),
        ([], ["__start__"]),
    ]
    parents = [s.parent_checkpoint_id for s in history]
    assert parents == [*(s.checkpoint_id for s in history[1:]), ""]
    for state in history:
        assert thread.state(checkpoint_id=state.checkpoint_id) == state
        assert thread.state(checkpoint_id=state.checkpoint_id.upper()) == state


def test_the_pauses_are_shown_at_the_head_and_nowhere_else(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    head = thread.now
    (pause,) = head.pauses
    shown = {s.checkpoint_id: list(s.pauses) for s in thread.history() if s.pauses}
    assert shown == {head.checkpoint_id: [pause]}
    assert list(thread.state(checkpoint_id=head.checkpoint_id).pauses) == [pause]


def test_a_checkpoint_that_a_thread_does_not_have_is_not_found(thread: DrivenThread) -> None:
    thread.start("linear")
    unknown = "00000000-0000-0000-0000-000000000000"
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND") as refusal:
        thread.state(checkpoint_id=unknown)
    assert refusal.text == f"thread {thread.thread_id} has no checkpoint {unknown}"
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        thread.edit({"log": ["x"]}, checkpoint_id=unknown)


def test_the_states_of_subgraphs_are_in_their_tasks_where_asked_for(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    (plain,) = thread.state().tasks
    assert not plain.HasField("state")
    (task,) = thread.state(subgraphs=True).tasks
    assert (task.node, task.task_id) == ("child", plain.task_id)
    inside = task.state
    assert value(inside.values) == {"log": ["in", "one"]}
    assert list(inside.next) == ["two"]
    assert list(inside.namespace) == [f"child:{task.task_id}"]
    assert [t.node for t in inside.tasks] == ["two"]
    assert list(thread.state().namespace) == []


def test_a_failed_task_says_how_it_failed(thread: DrivenThread) -> None:
    thread.start("boom")
    (task,) = thread.state().tasks
    assert (task.node, task.error.type, task.error.node) == ("explode", "ValueError", "explode")
    assert task.error.message == "count must be 1 at least — it's 0"
    assert thread.state().next == ["explode"]


def test_the_state_can_be_read_while_a_run_is_working(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    assert (thread.log, list(thread.state().next)) == (["in", "before"], ["gate"])
    gate.open()
    thread.wait(run_id)


def test_the_state_is_read_with_the_graph_that_the_thread_was_run_with(
    thread: DrivenThread,
) -> None:
    config = run_pb2.RunConfig(configurable=payload({"nodes": 3}))
    thread.start("by_config", config=config, interrupt_before=["node1"])
    assert list(thread.state().next) == ["node1"]
    assert list(thread.edit({"log": ["x"]}, as_node="node1").next) == ["node2"]
    assert list(thread.history()[0].next) == ["node2"]


# --- history ---


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 1000, 2**31 - 1])
def test_the_history_comes_in_pages(
    thread: DrivenThread, threads: threads_pb2_grpc.ThreadsStub, size: int
) -> None:
    thread.start("linear")
    pages: list[list[threads_pb2.ThreadState]] = []
    token = ""
    while not pages or token:
        request = threads_pb2.ListThreadHistoryRequest(
            thread_id=thread.thread_id, page_size=size, page_token=token
        )
        response = threads.ListThreadHistory(request, timeout=DEADLINE)
        pages.append(list(response.states))
        token = response.next_page_token
    assert [state for page in pages for state in page] == thread.history()
    assert [len(page) for page in pages] == [
        *[size] * (5 // size if 5 % size else 5 // size - 1),
        5 % size or size,
    ]


def test_the_first_page_of_a_long_history_has_20_states(
    thread: DrivenThread, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for _ in range(5):
        thread.start("linear")
    request = threads_pb2.ListThreadHistoryRequest(thread_id=thread.thread_id)
    response = threads.ListThreadHistory(request, timeout=DEADLINE)
    assert len(response.states) == 20
    assert response.next_page_token
    assert list(response.states) == thread.history()[:20]


def test_pages_stay_where_they_were_while_the_thread_goes_on(
    thread: DrivenThread, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread.start("linear")
    before = thread.history()
    request = threads_pb2.ListThreadHistoryRequest(thread_id=thread.thread_id, page_size=2)
    first = threads.ListThreadHistory(request, timeout=DEADLINE)
    thread.start("linear")
    request.page_token = first.next_page_token
    second = threads.ListThreadHistory(request, timeout=DEADLINE)
    assert [*first.states, *second.states] == before[:4]


# --- editing ---


def test_an_edit_goes_through_the_reducers_and_makes_a_new_head(thread: DrivenThread) -> None:
    thread.start("linear")
    before = thread.now
    state = thread.edit({"log": ["x"], "count": 3})
    assert value(state.values) == {"log": ["in", "a", "b", "c", "x"], "count": 3}
    assert state.parent_checkpoint_id == before.checkpoint_id
    assert state == thread.state()
    assert value(state.metadata)["source"] == "update"
    after = thread.now
    assert after.checkpoint_id == state.checkpoint_id
    assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    assert thread.stands() == ("IDLE", [], [])
    assert len(thread.runs()) == 1


def test_an_edit_can_say_what_a_channel_is_to_hold_whatever_its_reducer_does(
    thread: DrivenThread,
) -> None:
    request = {"messages": [{"role": "user", "content": "go", "id": "1"}], "amounts": [5, 6]}
    thread.start("refunds", request, interrupt_before=["refund"])
    before = value(thread.state().values)
    kept, call = before["messages"]
    wanted = {
        "refunded": [1, 2],
        "amounts": [7],
        "messages": [
            {"type": "system", "content": "Be kind.", "id": "0"},
            kept,
            {**call, "tool_calls": [{**call["tool_calls"][0], "args": {"amount": 4}}]},
        ],
    }
    state = thread.edit({key: {"__overwrite__": each} for key, each in wanted.items()})
    edited = value(state.values)
    assert (edited["refunded"], edited["amounts"]) == ([1, 2], [7])
    first, second, third = edited["messages"]
    assert (first["id"], second, third["id"]) == ("0", kept, call["id"])
    (pause,) = thread.pauses
    assert value(pause.tool_calls[0].args) == {"amount": 4}
    assert [value(s.metadata)["source"] for s in thread.history()] == [
        "update",
        "loop",
        "loop",
        "input",
    ]
    # The node gets messages, and no objects.
    assert thread.resume(clear_breakpoints=True)[-1].end.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert value(thread.state().values)["refunded"] == [1, 2, 4, 7]


def test_an_edit_can_not_make_a_message_of_something_else(thread: DrivenThread) -> None:
    request = {"messages": [{"role": "user", "content": "go", "id": "1"}], "amounts": [5]}
    thread.start("refunds", request, interrupt_before=["refund"])
    with thread.refused("INVALID_ARGUMENT", "INVALID_UPDATE", "values"):
        thread.edit({"messages": {"__overwrite__": [{"type": "nobody", "content": "x"}]}})


def test_an_edit_at_a_breakpoint_pauses_there_again_with_a_new_pause(
    thread: DrivenThread,
) -> None:
    run_id = thread.start("linear", interrupt_before=["b"])[0].run_id
    (old,) = thread.pauses
    state = thread.edit({"log": ["x"]})
    (new,) = thread.pauses
    assert list(state.pauses) == [new]
    assert pause_shape(new) == pause_shape(old) == ("BREAKPOINT_BEFORE", "b")
    assert new.pause_id != old.pause_id
    assert (new.checkpoint_id, new.run_id) == (state.checkpoint_id, run_id)
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[old.pause_id])
    assert shapes(thread.resume(pause_ids=[new.pause_id])) == [*ran("b", "c"), DONE]
    assert thread.log == ["in", "a", "x", "b", "c"]


def test_an_edit_while_a_node_asks_makes_it_ask_again(thread: DrivenThread) -> None:
    thread.start("ask")
    (old,) = thread.pauses
    thread.edit({"log": ["x"]})
    assert thread.stands() == ("INTERRUPTED", ["ask"], [("PAUSE", "ask")])
    for fields in (
        {"answer": 1},
        {"answers": {old.pause_id: 1}},
        {"answers": {old.interrupt_id: 1}},
    ):
        given: dict[str, Any] = fields
        with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
            thread.resume(**given)
    assert shapes(thread.resume())[-1] == PAUSED
    (new,) = thread.pauses
    assert new.pause_id != old.pause_id
    thread.resume(answers={new.pause_id: 1})
    assert thread.log == ["in", "x", "name: 1", "after"]


def test_an_edit_as_the_waiting_node_acts_in_its_place(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b", "c"])
    thread.edit({"log": ["instead of b"]}, as_node="b")
    assert thread.stands() == ("INTERRUPTED", ["c"], [("BREAKPOINT_BEFORE", "c")])
    assert shapes(thread.resume()) == [*ran("c"), DONE]
    assert thread.log == ["in", "a", "instead of b", "c"]


def test_an_edit_as_the_node_that_asks_answers_in_its_place(thread: DrivenThread) -> None:
    thread.start("ask")
    thread.edit({"log": ["instead"]}, as_node="ask")
    assert thread.stands() == ("INTERRUPTED", ["after"], [("PAUSE", "after")])
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    assert thread.log == ["in", "instead", "after"]


def test_what_an_edit_has_left_waiting_is_resumed_by_its_id(thread: DrivenThread) -> None:
    thread.start("ask")
    thread.edit({"log": ["x"]})
    (first,) = thread.pauses
    (second,) = thread.edit({"log": ["y"]}).pauses
    assert (second.kind, second.pause_id != first.pause_id) == (first.kind, True)
    assert not second.breakpoints
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(pause_ids=[first.pause_id])
    assert (refusal.metadata["status"], refusal.metadata["principal"]) == (
        "SUPERSEDED",
        "anonymous",
    )
    assert shapes(thread.resume(pause_ids=[second.pause_id]))[-1] == PAUSED
    (asked,) = thread.pauses
    assert pause_shape(asked)[:2] == ("INTERRUPT", "ask")
    thread.resume(answer=1)
    assert thread.log == ["in", "x", "y", "name: 1", "after"]


def test_of_several_nodes_that_an_edit_leaves_waiting_each_is_resumed_alone(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel")
    nodes = sorted(pause.node for pause in thread.pauses)
    assert len(nodes) == 2
    thread.edit({"log": ["x"]}, as_node="__start__")
    left = {pause.node: pause for pause in thread.pauses}
    assert thread.stands()[2] == [("PAUSE", node) for node in nodes]
    thread.resume(pause_ids=[left[nodes[0]].pause_id])
    now = {pause.node: pause for pause in thread.pauses}
    assert [pause_shape(now[node])[0] for node in nodes] == ["INTERRUPT", "PAUSE"]
    assert now[nodes[1]].pause_id == left[nodes[1]].pause_id
    thread.resume(pause_ids=[now[nodes[1]].pause_id], answer=1)
    assert [pause_shape(pause)[:2] for pause in thread.pauses] == [("INTERRUPT", nodes[1])]
    thread.resume(answer=2)
    assert thread.status == "IDLE"


def test_beside_a_breakpoint_an_edit_leaves_only_those_waiting_that_had_a_pause(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel")
    nodes = sorted(pause.node for pause in thread.pauses)
    thread.threads_stub.UpdateThread(
        threads_pb2.UpdateThreadRequest(
            thread_id=thread.thread_id,
            breakpoints=breakpoint_pb2.BreakpointList(
                breakpoints=[breakpoint_pb2.Breakpoint(node=nodes[0])]
            ),
        )
    )
    thread.edit({"log": ["x"]}, as_node="__start__")
    wanted = [("BREAKPOINT_BEFORE", nodes[0]), ("PAUSE", nodes[1])]
    assert sorted(thread.stands()[2]) == wanted


def test_an_edit_as_the_subgraph_that_waits_skips_it(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    thread.edit({"log": ["instead"]}, as_node="child")
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    assert thread.log == ["in", "instead", "after"]


def test_an_edit_as_a_node_takes_its_way_on(thread: DrivenThread) -> None:
    thread.start("router", interrupt_before=["left", "right"])
    assert thread.stands() == ("INTERRUPTED", ["left"], [("BREAKPOINT_BEFORE", "left")])
    thread.edit({"count": 1})
    assert thread.stands() == ("INTERRUPTED", ["right"], [("BREAKPOINT_BEFORE", "right")])
    assert shapes(thread.resume()) == [*ran("right"), DONE]


def test_an_edit_as_the_last_node_ends_the_graph(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    thread.edit({"log": ["x"]}, as_node="c")
    assert thread.stands() == ("IDLE", [], [])
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()


def test_an_edit_without_changes_moves_on(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    thread.edit({}, as_node="b")
    assert shapes(thread.resume()) == [*ran("c"), DONE]
    assert thread.log == ["in", "a", "c"]


def test_an_edit_as_end_drops_what_waits(thread: DrivenThread) -> None:
    thread.start("ask_parallel", interrupt_before=["left"])
    state = thread.edit(as_node="__end__")
    assert (value(state.values), list(state.next)) == ({"log": ["in"]}, [])
    assert thread.stands() == ("IDLE", [], [])
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()
    assert shapes(thread.start("ask_parallel"))[-1] == PAUSED


def test_an_edit_as_end_takes_no_values(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    for values in ({"log": ["x"]}, {}):
        with thread.refused("INVALID_ARGUMENT", "INVALID_UPDATE", "values"):
            thread.edit(values, as_node="__end__")


def test_an_edit_as_start_acts_as_new_input(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["a", "b"])
    thread.resume()
    state = thread.edit({"log": ["new"]}, as_node="__start__")
    assert value(state.values) == {"log": ["in", "a", "new"]}
    assert thread.stands() == ("INTERRUPTED", ["a"], [("BREAKPOINT_BEFORE", "a")])
    assert shapes(thread.resume())[:1] == ran("a")
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])


def test_an_edit_as_input_is_what_the_start_of_a_run_is(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["a", "b"])
    thread.resume()
    (waited,) = thread.pauses
    state = thread.edit({"log": ["new"]}, as_node="__input__")
    assert value(state.values) == {"log": ["in", "a", "new"]}
    assert thread.stands() == ("INTERRUPTED", ["a"], [("BREAKPOINT_BEFORE", "a")])
    assert thread.pauses[0].pause_id != waited.pause_id
    sources = [value(each.metadata)["source"] for each in thread.history()[:2]]
    assert sources == ["update", "input"]
    assert shapes(thread.resume())[:1] == ran("a")
    for values in ({"nothing": 1}, 5):
        with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "values"):
            thread.edit(values, as_node="__input__")
    for as_node in ("", "__start__", "__input__"):
        with thread.refused("INVALID_ARGUMENT", "MISSING_FIELD", "values"):
            thread.edit(as_node=as_node)


def test_an_edit_as_input_gives_an_entrypoint_its_input(thread: DrivenThread) -> None:
    thread.start("echo", 3)
    thread.edit(5, as_node="__input__")
    assert shapes(thread.resume()) == [("updates", "_double", 10), ("updates", "echo", 10), DONE]


@pytest.mark.parametrize("null", ["unset", "null"])
def test_an_edit_without_values_is_a_node_that_wrote_nothing(
    thread: DrivenThread, null: str
) -> None:
    thread.start("linear", interrupt_before=["b"])
    values = None if null == "unset" else payload_pb2.Payload(json="null")
    request = threads_pb2.UpdateThreadStateRequest(
        thread_id=thread.thread_id, values=values, as_node="b"
    )
    thread.threads_stub.UpdateThreadState(request, timeout=DEADLINE)
    assert (thread.log, list(thread.now.next)) == (["in", "a"], ["c"])
    assert shapes(thread.resume()) == [*ran("c"), DONE]
    # Of a subgraph too, which is skipped so.
    other = DrivenThread(thread.runs_stub, thread.threads_stub)
    other.start("ask_in_child", interrupt_before=["child"])
    other.edit(as_node="child")
    assert list(other.now.next) == ["after"]


def test_an_edit_as_a_node_gives_up_what_waits_in_other_branches(thread: DrivenThread) -> None:
    thread.start("ask_parallel")
    thread.edit({"log": ["x"]}, as_node="left")
    assert thread.stands() == ("INTERRUPTED", ["done"], [("PAUSE", "done")])


def test_an_edit_as_start_gives_an_entrypoint_its_input(thread: DrivenThread) -> None:
    thread.start("echo", 3)
    thread.edit(5, as_node="__start__")
    assert shapes(thread.resume()) == [("updates", "_double", 10), ("updates", "echo", 10), DONE]
    assert value(thread.state().values) == 10


def test_an_edit_of_a_failed_thread_mends_it(thread: DrivenThread) -> None:
    thread.start("boom")
    assert thread.now.error.type == "ValueError"
    thread.edit({"log": ["instead"]}, as_node="explode")
    assert thread.stands() == ("IDLE", [], [])
    assert not thread.now.HasField("error")
    assert thread.log == ["in", "fine", "instead"]


def test_an_edit_before_the_first_run_needs_the_assistant_and_obeys_its_breakpoints(
    thread: DrivenThread,
) -> None:
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_REQUIRED"):
        thread.edit({"log": ["x"]})
    state = thread.edit({"log": ["x"]}, assistant_id="stops", as_node="a")
    assert state.parent_checkpoint_id == ""
    assert thread.now.assistant_id == "stops"
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH") as no:
        thread.edit({"log": ["x"]}, assistant_id="linear")
    assert "edited as that one, not as 'linear'; leave assistant_id out" in no.text
    assert no.metadata == {"assistant_id": "stops"}
    events = thread.resume()
    assert shapes(events)[:2] == ran("b", "c")
    assert thread.log == ["x", "b", "c"]


def test_an_edit_is_refused_once_the_thread_has_moved_on(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    seen = thread.now.checkpoint_id
    thread.edit({"log": ["x"]}, expected_checkpoint_id=seen)
    with thread.refused("FAILED_PRECONDITION", "CHECKPOINT_MISMATCH") as refusal:
        thread.edit({"log": ["y"]}, expected_checkpoint_id=seen)
    assert refusal.metadata["checkpoint_id"] == thread.now.checkpoint_id


def test_an_edit_of_a_busy_thread_is_refused(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    with thread.refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        thread.edit({"log": ["x"]})
    assert refusal.metadata["run_id"] == run_id
    gate.open()
    thread.wait(run_id)


def test_an_edit_that_the_graph_does_not_take_is_refused(thread: DrivenThread) -> None:
    thread.start("ask_parallel", interrupt_before=["done"])
    left, right = thread.pauses
    thread.resume(answers={left.pause_id: 1, right.pause_id: 2})
    for values in ({"lgo": ["x"]}, {"log": ["x"], "lgo": 1}, ["x"], "x", 1, {"log": 1}):
        with thread.refused("INVALID_ARGUMENT", "INVALID_UPDATE", "values"):
            thread.edit(values, as_node="left")
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "as_node") as refusal:
        thread.edit({"log": ["x"]}, as_node="lfet")
    assert refusal.metadata["nodes"] == "left, right, done"
    with thread.refused("INVALID_ARGUMENT", "AMBIGUOUS_NODE", "as_node"):
        thread.edit({"log": ["x"]})


def test_an_edit_behind_which_runs_wait_lets_them_go_on_once_nothing_is_paused(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.wait_begun()
    queued = thread.create(
        assistant_id="gated",
        input=payload({"log": ["queued"]}),
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    gate.open()
    thread.wait(first)
    thread.edit({"log": ["x"]})
    assert thread.stands()[0] == "INTERRUPTED"
    thread.edit(as_node="__end__")
    thread.wait(queued)
    assert thread.log == ["in", "before", "gate", "x", "queued", "before", "gate", "after"]


# --- forks and time travel ---


def test_an_edit_at_an_older_checkpoint_is_a_fork(thread: DrivenThread) -> None:
    thread.start("linear")
    old_head = thread.now.checkpoint_id
    before_b = thread.checkpoint("b")
    state = thread.edit({"log": ["fork"]}, checkpoint_id=before_b)
    assert (value(state.values), list(state.next)) == ({"log": ["in", "a", "fork"]}, ["b"])
    assert state.parent_checkpoint_id == before_b
    assert thread.now.checkpoint_id == state.checkpoint_id
    assert thread.stands() == ("IDLE", ["b"], [])
    assert shapes(thread.resume()) == [*ran("b", "c"), DONE]
    assert thread.log == ["in", "a", "fork", "b", "c"]
    assert value(thread.state(checkpoint_id=old_head).values) == {"log": ["in", "a", "b", "c"]}


def test_a_fork_stands_before_the_breakpoints_of_the_last_run(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    before_b = thread.now.checkpoint_id
    thread.resume()
    thread.edit({"log": ["fork"]}, checkpoint_id=before_b)
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    assert shapes(thread.resume()) == [*ran("b", "c"), DONE]


def test_a_fork_supersedes_what_is_open_at_the_head(thread: DrivenThread) -> None:
    thread.start("ask")
    (asked,) = thread.pauses
    start = thread.history()[-2]
    thread.edit({"log": ["fork"]}, checkpoint_id=start.checkpoint_id)
    assert thread.stands() == ("INTERRUPTED", ["ask"], [("PAUSE", "ask")])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answers={asked.pause_id: 1})
    thread.resume()
    thread.resume(answer=2)
    assert thread.log == ["in", "fork", "name: 2", "after"]


def test_a_fork_at_the_end_of_an_earlier_run_takes_new_input(thread: DrivenThread) -> None:
    thread.start("linear")
    first_end = thread.now.checkpoint_id
    thread.start("linear", {"log": ["second"]})
    thread.edit({"log": ["fork"]}, checkpoint_id=first_end)
    assert thread.log == ["in", "a", "b", "c", "fork"]
    thread.start("linear", {"log": ["third"]})
    assert thread.log == ["in", "a", "b", "c", "fork", "third", "a", "b", "c"]


def test_checkpoint_ids_sort_by_their_time(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    thread.edit({"log": ["x"]})
    thread.resume(checkpoint_id=thread.history()[-2].checkpoint_id)
    ids = [state.checkpoint_id for state in thread.history()]
    assert ids == sorted(ids, reverse=True)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", i) for i in ids)


def test_a_resume_from_an_older_checkpoint_goes_on_beside_it(thread: DrivenThread) -> None:
    thread.start("linear")
    before_c = thread.state(checkpoint_id=thread.checkpoint("c"))
    thread.resume(checkpoint_id=before_c.checkpoint_id)
    copy = next(s for s in thread.history() if value(s.metadata)["source"] == "fork")
    assert (copy.values, copy.next) == (before_c.values, before_c.next)
    assert copy.parent_checkpoint_id == before_c.parent_checkpoint_id


def test_a_resume_from_the_very_first_checkpoint_starts_over(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["a"])
    events = thread.resume(checkpoint_id=thread.history()[-1].checkpoint_id)
    assert shapes(events) == [("interrupted", [("BREAKPOINT_BEFORE", "a")], ["a"]), PAUSED]
    thread.resume()
    assert thread.log == ["in", "a", "b", "c"]
