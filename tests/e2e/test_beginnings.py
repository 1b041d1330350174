"""CreateThread with a state to begin with, and threads with breakpoints of their own."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from graphwire.v1 import (
    assistants_pb2,
    assistants_pb2_grpc,
    breakpoint_pb2,
    payload_pb2,
    run_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.callers import at_once
from tests.e2e.drive import DEADLINE, get_thread, payload, refused, shapes, value
from tests.e2e.driven import DrivenThread

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub
Steps = list[dict[str, Any]]

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
INPUT = {"__input__": {"log": ["in"]}}


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def paused_before(*nodes: str) -> list[tuple[object, ...]]:
    """How a run ends that pauses before nodes."""
    pauses = [("BREAKPOINT_BEFORE", node) for node in nodes]
    return [("interrupted", pauses, list(nodes)), PAUSED]


def request(
    assistant: str, steps: Steps, null: str = "null", **fields: Any
) -> threads_pb2.CreateThreadRequest:
    """A thread with a state; each step is what its nodes have returned."""

    def returned(values: Any) -> payload_pb2.Payload | None:
        return None if values is None and null == "unset" else payload(values)

    def update(node: str, values: Any) -> threads_pb2.StateUpdate:
        if isinstance(values, threads_pb2.NodeCommand):
            return threads_pb2.StateUpdate(as_node=node, command=values)
        return threads_pb2.StateUpdate(as_node=node, values=returned(values))

    supersteps = [
        threads_pb2.Superstep(updates=[update(*returned) for returned in step.items()])
        for step in steps
    ]
    return threads_pb2.CreateThreadRequest(assistant_id=assistant, supersteps=supersteps, **fields)


def goto(*nodes: str, **update: Any) -> threads_pb2.NodeCommand:
    """A command that goes to nodes, and updates the state."""
    return threads_pb2.NodeCommand(
        goto=[run_pb2.Goto(node=node) for node in nodes],
        update=payload(update) if update else None,
    )


@pytest.fixture
def begin(runs: Runs, threads: Threads) -> Any:
    """Creates a thread with a state."""

    def begin(assistant: str, *steps: dict[str, Any], **fields: Any) -> DrivenThread:
        made = threads.CreateThread(request(assistant, [*steps], **fields), timeout=DEADLINE).thread
        thread = DrivenThread(runs, threads, made.thread_id)
        assert thread.now == made
        return thread

    return begin


def before(node: str, **fields: Any) -> breakpoint_pb2.Breakpoint:
    return breakpoint_pb2.Breakpoint(node=node, **fields)


# --- a state to begin with ---


def test_a_thread_stands_where_the_last_step_leads_and_goes_on_from_there(begin: Any) -> None:
    thread = begin("linear", INPUT, {"a": {"log": ["A"]}}, {"b": {"log": ["B"]}})
    assert thread.stands() == ("IDLE", ["c"], [])
    assert (thread.now.assistant_id, thread.log) == ("linear", ["in", "A", "B"])
    assert thread.now.state_update_time == thread.now.create_time
    assert thread.runs() == []
    assert shapes(thread.resume()) == [*ran("c"), DONE]
    assert thread.log == ["in", "A", "B", "c"]


@pytest.mark.parametrize("null", ["unset", "null"])
def test_a_node_may_have_written_nothing(begin: Any, null: str) -> None:
    """As in an edit: what follows the node comes next all the same."""
    made = begin("linear", {"a": None}, INPUT, {"a": {"log": ["A"]}}, {"b": None}, null=null)
    assert made.stands() == ("IDLE", ["c"], [])
    assert made.log == ["in", "A"]
    assert shapes(made.resume()) == [*ran("c"), DONE]
    assert made.log == ["in", "A", "c"]


def test_its_history_is_that_of_a_run_that_has_come_so_far(
    begin: Any, thread: DrivenThread
) -> None:
    made = begin("linear", INPUT, {"a": {"log": ["a"]}}, {"b": {"log": ["b"]}})
    thread.start("linear", interrupt_before=["c"])

    def history(of: DrivenThread) -> list[tuple[Any, ...]]:
        return [
            (value(s.values), list(s.next), value(s.metadata)["step"], bool(s.parent_checkpoint_id))
            for s in of.history()
        ]

    assert history(made) == history(thread)
    sources = [value(state.metadata)["source"] for state in made.history()]
    assert sources == ["update", "update", "update", "input"]


def test_several_updates_of_a_step_are_taken_in_together(begin: Any) -> None:
    thread = begin("ask_parallel", INPUT, {"left": {"log": ["L"]}, "right": {"log": ["R"]}})
    assert thread.stands() == ("IDLE", ["done"], [])
    assert thread.log == ["in", "L", "R"]
    assert shapes(thread.resume()) == [*ran("done"), DONE]


def test_the_edges_of_the_graph_say_what_comes_next(begin: Any) -> None:
    odd = begin("router", {"__input__": {"count": 1}}, {"start": {"log": ["s"]}})
    assert odd.stands() == ("IDLE", ["right"], [])
    ended = begin("router", INPUT, {"start": {"log": ["s"]}}, {"left": {"log": ["l"]}})
    assert ended.stands() == ("IDLE", [], [])
    with ended.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        ended.resume()
    assert shapes(ended.start("router"))[-1] == DONE


def test_input_alone_waits_for_the_first_node(begin: Any) -> None:
    thread = begin("linear", INPUT)
    assert (thread.stands(), thread.log) == (("IDLE", ["a"], []), ["in"])
    assert shapes(thread.resume()) == [*ran("a", "b", "c"), DONE]


def test_a_graph_without_an_entry_node_takes_input_too(begin: Any) -> None:
    thread = begin("ask_in_entrypoint", {"__input__": "hello"})
    assert thread.stands() == ("IDLE", ["ask_in_entrypoint"], [])
    assert shapes(thread.resume())[-1] == PAUSED


def test_the_step_between_input_and_the_first_nodes_may_be_given_by_itself(
    begin: Any, thread: DrivenThread
) -> None:
    """As a thread's history has them that is taken from another server."""
    made = begin("linear", INPUT, {"__start__": {"log": ["in"]}}, {"a": {"log": ["a"]}})
    thread.start("linear", interrupt_before=["b"])
    assert made.log == ["in", "a"]
    assert [list(state.next) for state in made.history()] == [
        list(state.next) for state in thread.history()
    ]
    alone = begin("linear", {"__start__": {"log": ["in"]}})
    assert (alone.stands(), alone.log) == (("IDLE", ["a"], []), ["in"])
    assert shapes(alone.resume()) == [*ran("a", "b", "c"), DONE]
    beside = begin("linear", {"__start__": {"log": ["in"]}, "a": {"log": ["A"]}})
    assert (beside.stands(), beside.log) == (("IDLE", ["a", "b"], []), ["in", "A"])


def test_of_a_graph_without_an_entry_node_it_is_the_input(begin: Any) -> None:
    thread = begin("ask_in_entrypoint", {"__start__": "hello"})
    assert thread.stands() == ("IDLE", ["ask_in_entrypoint"], [])


def test_what_waits_is_dropped_at_the_end(begin: Any) -> None:
    thread = begin("linear", INPUT, {"a": {"log": ["A"]}}, {"__end__": None})
    assert (thread.stands(), thread.log) == (("IDLE", [], []), ["in", "A"])
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()
    on = begin("ask_parallel", INPUT, {"__end__": None}, {"left": {"log": ["L"]}})
    assert (on.stands(), on.log) == (("IDLE", ["done"], []), ["in", "L"])
    assert begin("linear", {"__end__": None}).stands() == ("IDLE", [], [])


def test_a_node_may_have_returned_a_command(begin: Any) -> None:
    """It goes on by its edges, and where it says."""
    thread = begin("linear", INPUT, {"a": goto("c", log=["A"])})
    assert (thread.stands(), thread.log) == (("IDLE", ["b", "c"], []), ["in", "A"])
    only = begin("linear", INPUT, {"a": goto(log=["A"])})
    assert (only.stands(), only.log) == (("IDLE", ["b"], []), ["in", "A"])
    nothing = begin("linear", INPUT, {"a": goto("c"), "b": {"log": ["B"]}})
    assert (nothing.stands(), nothing.log) == (("IDLE", ["b", "c"], []), ["in", "B"])
    entered = begin("linear", {"__start__": goto("c", log=["in"])})
    assert (entered.stands(), entered.log) == (("IDLE", ["a", "c"], []), ["in"])
    assert shapes(entered.resume()) == [*ran("a", "c", "b", "c"), DONE]


def test_a_command_may_give_a_node_what_it_gets(begin: Any) -> None:
    command = threads_pb2.NodeCommand(
        goto=[run_pb2.Goto(node="b", input=payload({"log": ["own"]}))], update=payload({"log": []})
    )
    thread = begin("linear", INPUT, {"a": command}, breakpoints=[before("b")])
    assert thread.stands() == ("INTERRUPTED", ["b", "b"], [("BREAKPOINT_BEFORE", "b")] * 2)
    sent = [value(p.task_input) for p in thread.now.pauses if p.HasField("task_input")]
    assert sent == [{"log": ["own"]}]


def test_where_a_breakpoint_is_compiled_in_the_thread_is_paused_at_it(begin: Any) -> None:
    thread = begin("stops", INPUT, {"a": {"log": ["A"]}})
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    with thread.refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        thread.start("stops")
    assert shapes(thread.resume())[:2] == ran("b", "c")


def test_a_node_that_no_pause_holds_is_held_when_somebody_goes_on(begin: Any) -> None:
    thread = begin("linear", INPUT)
    assert shapes(thread.resume(interrupt_before=["a"])) == paused_before("a")
    assert thread.log == ["in"]


def test_a_thousand_steps_are_taken_in(begin: Any) -> None:
    steps = [{"step": {"log": [f"{n}"], "count": 0}} for n in range(999)]
    thread = begin("loop", INPUT, *steps)
    assert thread.log == ["in", *(f"{n}" for n in range(999))]
    assert thread.stands() == ("IDLE", ["step"], [])


@pytest.mark.parametrize(
    ("assistant", "steps", "reason", "field"),
    [
        ("linear", [INPUT, {"a": {}}, {"z": {}}], "UNKNOWN_NODE", "[2].updates[0].as_node"),
        ("linear", [INPUT, {"__copy__": {"log": []}}], "UNKNOWN_NODE", "[1].updates[0].as_node"),
        ("linear", [{"a": {"log": ["x"]}, **INPUT}], "INVALID_FIELD", "[0].updates[1].as_node"),
        ("linear", [{"__input__": {"lgo": []}}], "INVALID_FIELD", "[0].updates[0].values"),
        ("linear", [{"__start__": {"lgo": []}}], "INVALID_UPDATE", "[0].updates[0].values"),
        ("linear", [{"__end__": {"log": []}}], "INVALID_UPDATE", "[0].updates[0].values"),
        ("linear", [{"a": {}, "__end__": None}], "INVALID_FIELD", "[0].updates[1].as_node"),
        ("linear", [{"z": goto("a")}], "UNKNOWN_NODE", "[0].updates[0].as_node"),
        ("linear", [{"a": goto("c", "z")}], "UNKNOWN_NODE", "[0].updates[0].command.goto[1].node"),
        ("linear", [{"a": goto(lgo=[])}], "INVALID_UPDATE", "[0].updates[0].command.update"),
        ("linear", [{"a": goto(log=1)}], "INVALID_UPDATE", "[0].updates[0].command"),
        ("linear", [{"__input__": goto("c")}], "INVALID_FIELD", "[0].updates[0].command"),
        ("linear", [{"__end__": goto("c")}], "INVALID_FIELD", "[0].updates[0].command"),
        (
            "ask_in_entrypoint",
            [{"ask_in_entrypoint": goto("ask_in_entrypoint")}],
            "INVALID_FIELD",
            "[0].updates[0].command",
        ),
        ("linear", [INPUT, {"a": {"lgo": []}}], "INVALID_UPDATE", "[1].updates[0].values"),
        ("linear", [INPUT, {"a": [1]}], "INVALID_UPDATE", "[1].updates[0].values"),
        ("linear", [INPUT, {"a": {"log": 1}}], "INVALID_UPDATE", "[1].updates[0].values"),
        (
            "ask_parallel",
            [INPUT, {"left": {"log": ["x"]}, "right": {"log": 5}}],
            "INVALID_UPDATE",
            "[1].updates[1].values",
        ),
        (
            "ask_parallel",
            [INPUT, {"left": {"count": 1}, "right": {"count": 2}}],
            "INVALID_UPDATE",
            "[1].updates",
        ),
        ("fails_in_router", [INPUT, {"fine": {}}], "INVALID_UPDATE", "[1].updates[0].values"),
    ],
    ids=str,
)  # fmt: skip
def test_with_an_error_in_one_of_the_steps_no_thread_is_made(
    threads: Threads, assistant: str, steps: Steps, reason: str, field: str
) -> None:
    thread_id = f"none-{uuid.uuid4()}"
    with refused("INVALID_ARGUMENT", reason, f"supersteps{field}"):
        threads.CreateThread(request(assistant, steps, thread_id=thread_id), timeout=DEADLINE)
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        get_thread(threads, thread_id)
    # Nothing is left of it either.
    made = threads.CreateThread(request("linear", [INPUT], thread_id=thread_id), timeout=DEADLINE)
    assert list(made.thread.next) == ["a"]


def test_a_thread_that_is_there_keeps_its_state(begin: Any, threads: Threads) -> None:
    thread = begin("linear", INPUT)
    again = request("linear", [INPUT, {"a": {"log": ["A"]}}], thread_id=thread.thread_id)
    with thread.refused("ALREADY_EXISTS", "THREAD_EXISTS"):
        threads.CreateThread(again, timeout=DEADLINE)
    again.if_exists = threads_pb2.IF_EXISTS_RETURN
    assert threads.CreateThread(again, timeout=DEADLINE).thread == thread.now
    assert thread.log == ["in"]


def test_a_request_id_makes_one_thread_for_callers_who_call_at_once(
    threads: Threads, once: str
) -> None:
    again = request("linear", [INPUT], breakpoints=[before("b")], request_id=once)
    made = at_once(lambda: threads.CreateThread(again, timeout=DEADLINE).thread)
    assert len({thread.thread_id for thread in made}) == 1
    assert len({thread.breakpoints[0].breakpoint_id for thread in made}) == 1
    for other in (
        request("linear", [{"__input__": {"log": ["other"]}}], breakpoints=[before("b")]),
        request("linear", [INPUT, {"a": goto("c")}], breakpoints=[before("b")]),
        request("linear", [INPUT], breakpoints=[before("c")]),
        request("linear", [INPUT], breakpoints=[before("b", breakpoint_id="named")]),
        request("stops", [INPUT], breakpoints=[before("b")]),
        request("linear", []),
    ):
        other.request_id = once
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            threads.CreateThread(other, timeout=DEADLINE)


def test_an_assistant_alone_is_that_of_the_thread(begin: Any) -> None:
    thread = begin("linear")
    assert thread.stands() == ("IDLE", [], [])
    assert thread.now.assistant_id == "linear"
    assert thread.state() == threads_pb2.ThreadState(metadata=payload({}))
    assert thread.history() == []
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.start("router")
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()
    assert shapes(thread.start("linear"))[-1] == DONE


# --- breakpoints of a thread ---


def test_breakpoints_of_a_thread_hold_for_all_of_its_runs_whatever_they_say(begin: Any) -> None:
    thread = begin("linear", breakpoints=[before("b", label="theirs"), before("c")])
    (b, c) = thread.now.breakpoints
    assert (b.node, b.label, c.node) == ("b", "theirs", "c")
    assert b.source == c.source == breakpoint_pb2.BREAKPOINT_SOURCE_THREAD
    assert len({b.breakpoint_id, c.breakpoint_id} - {""}) == 2
    assert shapes(thread.start("linear")) == [*ran("a"), *paused_before("b")]
    assert shapes(thread.resume(clear_breakpoints=True)) == [*ran("b"), *paused_before("c")]
    assert shapes(thread.resume()) == [*ran("c"), DONE]
    # The thread has them still.
    assert list(thread.now.breakpoints) == [b, c]
    assert shapes(thread.start("linear")) == [*ran("a"), *paused_before("b")]


def test_breakpoints_of_a_thread_are_replaced_and_hold_from_the_next_run_on(
    begin: Any, threads: Threads
) -> None:
    thread = begin("linear", breakpoints=[before("b")])
    thread.start("linear")
    change = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id,
        breakpoints=breakpoint_pb2.BreakpointList(breakpoints=[before("c", breakpoint_id="mine")]),
    )
    changed = threads.UpdateThread(change, timeout=DEADLINE).thread
    assert [(each.breakpoint_id, each.node) for each in changed.breakpoints] == [("mine", "c")]
    assert [pause.node for pause in changed.pauses] == ["b"]
    assert shapes(thread.resume()) == [*ran("b"), *paused_before("c")]
    change.breakpoints.Clear()
    change.breakpoints.SetInParent()
    assert list(threads.UpdateThread(change, timeout=DEADLINE).thread.breakpoints) == []
    thread.resume()
    assert shapes(thread.start("linear")) == [*ran("a", "b", "c"), DONE]


def test_what_is_not_given_stays(begin: Any, threads: Threads) -> None:
    thread = begin("linear", breakpoints=[before("b")])
    kept = list(thread.now.breakpoints)
    change = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id, metadata=payload({"changed": True})
    )
    assert list(threads.UpdateThread(change, timeout=DEADLINE).thread.breakpoints) == kept


def test_a_state_to_begin_with_stands_before_breakpoints_of_the_thread(begin: Any) -> None:
    steps = [INPUT, {"a": {"log": ["A"]}}]
    conditions = {"'A' in state.log": True, "'B' in state.log": False}
    for condition, holds in conditions.items():
        thread = begin("linear", *steps, breakpoints=[before("b", condition=condition)])
        pauses = [("BREAKPOINT_BEFORE", "b")] if holds else []
        assert thread.stands() == ("INTERRUPTED" if holds else "IDLE", ["b"], pauses)


def test_a_state_to_begin_with_stands_before_breakpoints_of_the_assistant(
    begin: Any, assistants: assistants_pb2_grpc.AssistantsStub
) -> None:
    def made(*breakpoints: breakpoint_pb2.Breakpoint) -> str:
        new = assistants_pb2.CreateAssistantRequest(graph_id="linear", breakpoints=breakpoints)
        return assistants.CreateAssistant(new, timeout=DEADLINE).assistant.assistant_id

    careful, careless = made(before("b"), before("c")), made()
    thread = begin(careful, INPUT, {"a": {"log": ["A"]}})
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    # Nobody gets rid of them by going on as another assistant.
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.resume(assistant_id=careless)
    assert shapes(thread.resume()) == [*ran("b"), *paused_before("c")]
    # After an edit they hold as well.
    thread = begin(careful, INPUT)
    thread.edit({"log": ["A"]}, as_node="a")
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])


def test_before_the_first_run_nobody_can_tell_which_nodes_a_thread_has(
    thread: DrivenThread, threads: Threads
) -> None:
    change = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id,
        breakpoints=breakpoint_pb2.BreakpointList(breakpoints=[before("b"), before("nowhere")]),
    )
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_REQUIRED"):
        threads.UpdateThread(change, timeout=DEADLINE)
    thread.start("linear")
    with thread.refused(
        "INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints.breakpoints[1].node"
    ) as refusal:
        threads.UpdateThread(change, timeout=DEADLINE)
    assert refusal.metadata["nodes"] == "a, b, c"


def test_a_copy_has_the_breakpoints_of_the_thread(begin: Any, threads: Threads, runs: Runs) -> None:
    thread = begin("linear", breakpoints=[before("b")])
    made = threads.CopyThread(threads_pb2.CopyThreadRequest(thread_id=thread.thread_id)).thread
    copy = DrivenThread(runs, threads, made.thread_id)
    assert list(made.breakpoints) == list(thread.now.breakpoints)
    assert shapes(copy.start("linear", durability=run_pb2.DURABILITY_EXIT))[-1] == PAUSED
