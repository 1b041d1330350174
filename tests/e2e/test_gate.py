"""The gate: what may begin, and what must wait, in graphs of every shape.

Breakpoints of simple runs are in test_breakpoints.py, questions in test_interrupts.py, older
checkpoints and forged requests in test_resume_rules.py, goto in test_commands.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from graphwire.v1 import pause_pb2, run_pb2

from tests.e2e.drive import payload, shapes, value
from tests.e2e.driven import INPUT, DrivenThread, Events

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
DISCARD = run_pb2.ON_PAUSE_DISCARD
TASKS, UPDATES = run_pb2.STREAM_MODE_TASKS, run_pb2.STREAM_MODE_UPDATES


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def paused(*pauses: tuple[Any, ...], following: Sequence[str]) -> list[tuple[object, ...]]:
    """The last events of a run that pauses."""
    return [("interrupted", list(pauses), list(following)), PAUSED]


def before(path: str) -> tuple[str, str]:
    return ("BREAKPOINT_BEFORE", path)


def after(path: str) -> tuple[str, str]:
    return ("BREAKPOINT_AFTER", path)


def begun(events: Events) -> list[str]:
    """The nodes that began, with their paths."""
    return [
        "/".join([*(part.partition(":")[0] for part in event.namespace), event.task_started.node])
        for event in events
        if event.WhichOneof("event") == "task_started"
    ]


def by_path(pauses: Sequence[pause_pb2.Pause]) -> dict[str, pause_pb2.Pause]:
    """Pauses by the path of their node."""
    return {
        "/".join([*(part.partition(":")[0] for part in pause.namespace), pause.node]): pause
        for pause in pauses
    }


def inside(thread: DrivenThread, node: str) -> list[str]:
    """The nodes that come next in the subgraph at a node of the root."""
    tasks = thread.state(subgraphs=True).tasks
    return [name for task in tasks if task.node == node for name in task.state.next]


# --- branches beside each other ---


@pytest.mark.parametrize("first", ["left", "right"])
def test_of_parallel_subgraphs_only_the_approved_one_goes_on(
    thread: DrivenThread, first: str
) -> None:
    second = "right" if first == "left" else "left"
    thread.start("both_stop", stream_modes=[TASKS], stream_subgraphs=True)
    pauses = by_path(thread.pauses)
    assert list(pauses) == ["left/danger", "right/danger"]
    events = thread.resume(pause_ids=[pauses[f"{first}/danger"].pause_id])
    assert begun(events) == ["left", "right", f"{first}/danger"]
    assert shapes(events)[-2:] == paused(before(f"{second}/danger"), following=[second])
    assert thread.pauses == [pauses[f"{second}/danger"]]
    assert inside(thread, second) == ["danger"]
    # Whoever goes on without a word goes on from what is left.
    events = thread.resume()
    assert begun(events) == [second, f"{second}/danger", "done"]
    assert thread.log == ["in", *["in", "one", "danger"] * 2, "done"]


def test_one_of_three_sends_that_was_approved_runs_alone(thread: DrivenThread) -> None:
    thread.start("fanout", interrupt_before=["work"], interrupt_after=["work"])
    one, two, three = thread.pauses
    wrote_two = ("updates", "work", {"log": ["work 2"]})
    assert shapes(thread.resume(pause_ids=[two.pause_id])) == [
        wrote_two,
        *paused(before("work"), before("work"), following=["work", "work"]),
    ]
    assert thread.pauses == [one, three]
    assert thread.log == ["in", "plan", "work 2"]
    events = thread.resume(pause_ids=[three.pause_id])
    assert shapes(events)[-2:] == paused(before("work"), following=["work"])
    assert [event.updates.cached for event in events[1:-2]] == [True, False]
    # The step ends with the last of them, and only then the breakpoint after it is met.
    events = thread.resume()
    assert shapes(events)[-2:] == paused(after("work"), following=["join"])
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3"]
    assert shapes(thread.resume()) == [*ran("join"), DONE]


def test_what_is_approved_twice_is_refused_and_runs_once(thread: DrivenThread) -> None:
    thread.start("fanout", interrupt_before=["work"])
    two = thread.pauses[1]
    thread.resume(pause_ids=[two.pause_id])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[two.pause_id])
    thread.resume()
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3", "join"]


def test_a_breakpoint_that_is_added_holds_what_has_not_begun_and_nothing_else(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel")
    left, right = thread.pauses
    # A node that asks has begun: the answer goes into it.
    events = thread.resume(answers={left.pause_id: 1}, interrupt_before=["*"])
    asked = ("INTERRUPT", "right", {"question": "right"})
    assert shapes(events) == [
        ("updates", "left", {"log": ["left: 1"]}),
        *paused(asked, following=["right"]),
    ]
    assert thread.pauses == [right]
    events = thread.resume(answer=2)
    assert shapes(events)[-2:] == paused(before("done"), following=["done"])
    assert thread.log == ["in", "left: 1", "right: 2"]


# --- breakpoints in subgraphs ---


def test_approving_one_node_of_a_subgraph_approves_not_the_next_though_the_root_stands_still(
    thread: DrivenThread,
) -> None:
    thread.start("each_node_stops", stream_modes=[TASKS], stream_subgraphs=True)
    (first,) = thread.pauses
    events = thread.resume()
    assert begun(events) == ["child", "child/one"]
    (second,) = thread.pauses
    assert (first.node, second.node) == ("one", "danger")
    assert first.checkpoint_id == second.checkpoint_id == thread.now.checkpoint_id
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[first.pause_id])
    assert begun(thread.resume()) == ["child", "child/danger", "after"]
    assert thread.log == ["in", "in", "one", "danger", "after"]


def test_an_answer_in_a_subgraph_releases_no_breakpoint_behind_it(thread: DrivenThread) -> None:
    thread.start("child_asks_and_stops")
    stop = paused(before("child/danger"), following=["child"])
    assert shapes(thread.resume(answer="yes")) == stop
    assert shapes(thread.resume()) == [
        ("updates", "child", {"log": ["in", "child: 'yes'", "danger"]}),
        *ran("after"),
        DONE,
    ]


@pytest.mark.parametrize("assistant", ["stop_in_child", "stop_in_child_with_memory"])
def test_a_subgraph_that_keeps_checkpoints_pauses_and_goes_on_from_there(
    thread: DrivenThread, assistant: str
) -> None:
    events = thread.start(assistant, stream_modes=[TASKS], stream_subgraphs=True)
    assert begun(events) == ["child", "child/one"]
    assert shapes(events)[-2:] == paused(before("child/two"), following=["child"])
    assert inside(thread, "child") == ["two"]
    assert begun(thread.resume()) == ["child", "child/two", "after"]
    assert thread.log == ["in", "in", "one", "two", "after"]


def test_a_subgraph_with_memory_is_decided_anew_each_time_that_it_runs(
    thread: DrivenThread,
) -> None:
    fields: dict[str, Any] = {"stream_modes": [TASKS], "stream_subgraphs": True}
    thread.start("stop_in_child_with_memory", **fields)
    (first,) = thread.pauses
    thread.resume()
    events = thread.start("stop_in_child_with_memory", {"log": ["again"]}, **fields)
    assert begun(events) == ["child", "child/one"]
    (second,) = thread.pauses
    assert second.pause_id != first.pause_id
    assert begun(thread.resume()) == ["child", "child/two", "after"]
    # It has kept what it did the first time.
    once = ["in", "in", "one", "two", "after"]
    kept = ["in", "one", "two"]
    assert thread.log == [*once, "again", *kept, *once, "again", "one", "two", "after"]


def test_a_subgraph_with_memory_that_is_approved_runs_again_and_not_its_memory_instead(
    thread: DrivenThread,
) -> None:
    fields: dict[str, Any] = {"stream_modes": [TASKS], "stream_subgraphs": True}
    thread.start("ask_in_child_with_memory", **fields)
    thread.resume(answer=1)
    thread.start("ask_in_child_with_memory", interrupt_before=["child"], **fields)
    assert thread.stands() == ("INTERRUPTED", ["child"], [before("child")])
    # The engine would resume it from where it ended the last time, and do nothing.
    assert begun(thread.resume()) == ["child", "child/one", "child/ask"]
    assert begun(thread.resume(answer=2)) == ["child", "child/ask", "child/two", "after"]
    assert thread.log.count("child: 2") == 1


@pytest.mark.parametrize("durability", list(run_pb2.Durability.values()))
def test_a_breakpoint_where_no_pause_could_be_resumed_is_refused(
    thread: DrivenThread, durability: run_pb2.Durability.ValueType
) -> None:
    with thread.refused("FAILED_PRECONDITION", "UNSUPPORTED_BREAKPOINT") as refusal:
        thread.start("stop_without_saver", durability=durability)
    assert refusal.metadata == {"path": "child/inner"}


def test_a_node_of_a_subgraph_that_goes_to_a_gated_node_above_pauses_before_it(
    thread: DrivenThread,
) -> None:
    assert shapes(thread.start("goes_up", interrupt_before=["danger"])) == [
        ("updates", "child", {"log": ["up"]}),
        *paused(before("danger"), following=["danger"]),
    ]
    assert shapes(thread.resume()) == [*ran("danger"), DONE]


# --- after a node ---


def test_a_subgraph_is_not_left_before_the_breakpoint_after_its_last_node_is_approved(
    thread: DrivenThread,
) -> None:
    events = thread.start("stop_after_child", stream_modes=[TASKS], stream_subgraphs=True)
    assert begun(events) == ["child", "child/one", "child/two"]
    assert shapes(events)[-2:] == paused(after("child/two"), following=["child"])
    assert thread.log == ["in"]
    assert begun(thread.resume()) == ["child", "after"]
    assert thread.log == ["in", "in", "one", "two", "after"]


def test_a_breakpoint_after_a_node_in_a_loop_of_a_subgraph_holds_in_each_round(
    thread: DrivenThread,
) -> None:
    events = thread.start("stop_after_each_round", stream_modes=[TASKS], stream_subgraphs=True)
    seen = [begun(events)]
    pauses = [thread.pauses]
    while thread.status == "INTERRUPTED":
        seen.append(begun(thread.resume()))
        pauses.append(thread.pauses)
    round_ = ["child", "child/step"]
    assert seen == [round_, round_, round_, ["child", "after"]]
    assert len({pause.pause_id for each in pauses for pause in each}) == 3
    assert value(thread.state().values)["count"] == 3


def test_breakpoints_after_the_last_nodes_of_a_subgraph_and_of_the_root_are_two_pauses(
    thread: DrivenThread,
) -> None:
    assert shapes(thread.start("stop_after_last")) == paused(
        after("child/one"), following=["child"]
    )
    assert shapes(thread.resume()) == [
        ("updates", "child", {"log": ["in", "one"]}),
        *paused(after("child"), following=[]),
    ]
    assert shapes(thread.resume()) == [DONE]
    assert thread.log == ["in", "in", "one"]


# --- positions that are others ---


def test_a_fork_from_before_a_subgraph_pauses_in_it_anew(thread: DrivenThread) -> None:
    thread.start("stop_in_child", stream_modes=[TASKS], stream_subgraphs=True)
    (first,) = thread.pauses
    before_child = thread.now.checkpoint_id
    thread.resume()
    events = thread.resume(checkpoint_id=before_child)
    assert begun(events) == ["child", "child/one"]
    (second,) = thread.pauses
    assert (second.node, second.pause_id != first.pause_id) == ("two", True)
    assert begun(thread.resume()) == ["child", "child/two", "after"]


def test_an_edit_above_a_paused_subgraph_starts_it_anew_and_it_pauses_anew(
    thread: DrivenThread,
) -> None:
    thread.start("stop_in_child", stream_modes=[TASKS], stream_subgraphs=True)
    (first,) = thread.pauses
    thread.edit({"log": ["edit"]})
    assert thread.stands() == ("INTERRUPTED", ["child"], [("PAUSE", "child")])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[first.pause_id])
    events = thread.resume()
    assert begun(events) == ["child", "child/one"]
    assert shapes(events)[-2:] == paused(before("child/two"), following=["child"])
    thread.resume()
    assert thread.log == ["in", "edit", "in", "edit", "one", "two", "after"]


def test_an_edit_of_a_thread_at_two_branches_gives_both_up(thread: DrivenThread) -> None:
    thread.start("both_stop")
    pauses = by_path(thread.pauses)
    thread.resume(pause_ids=[pauses["left/danger"].pause_id])
    thread.edit({"log": ["edit"]}, as_node="done")
    assert thread.stands() == ("IDLE", [], [])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pauses["right/danger"].pause_id])


@pytest.mark.parametrize("discards", [True, False], ids=["discarded", "resumed"])
def test_the_same_input_again_pauses_again(thread: DrivenThread, discards: bool) -> None:
    thread.start("linear", interrupt_before=["b"])
    (first,) = thread.pauses
    if not discards:
        thread.resume()
    thread.start("linear", INPUT, interrupt_before=["b"], on_pause=DISCARD)
    (second,) = thread.pauses
    assert (second.node, second.pause_id != first.pause_id) == ("b", True)
    assert thread.log[-2:] == ["in", "a"]


@pytest.mark.parametrize(
    "key",
    [
        "__pregel_resuming",
        "__pregel_task_id",
        "__pregel_stream",
        "__pregel_runtime",
        "__pregel_checkpointer",
        "__pregel_replay_state",
        "checkpoint_map",
    ],
)
def test_keys_that_the_engine_or_the_gate_would_believe_are_refused(
    thread: DrivenThread, key: str
) -> None:
    thread.start("linear", interrupt_before=["b"])
    forged = run_pb2.RunConfig(configurable=payload({key: True}))
    with thread.refused("INVALID_ARGUMENT", "RESERVED_KEY", "config.configurable"):
        thread.start("linear", config=forged, on_pause=DISCARD, interrupt_before=["b"])
    with thread.refused("INVALID_ARGUMENT", "RESERVED_KEY", "config.configurable"):
        thread.resume(config=forged)


# --- nodes of other kinds ---


def test_a_cached_result_carries_no_node_past_its_breakpoint(
    thread: DrivenThread,
) -> None:
    def started(**fields: Any) -> DrivenThread:
        new = DrivenThread(thread.runs_stub, thread.threads_stub)
        new.start("cached", {"log": [thread.thread_id]}, **fields)
        return new

    (_, number, _) = started().log
    assert started().log[1] == number
    gated = started(interrupt_before=["number"])
    assert gated.stands() == ("INTERRUPTED", ["number"], [before("number")])
    gated.resume()
    assert gated.log[1] != number
    # Where another node has the breakpoint, the result is taken from the cache.
    elsewhere = started(interrupt_before=["after"])
    assert elsewhere.stands() == ("INTERRUPTED", ["after"], [before("after")])
    assert elsewhere.log == [thread.thread_id, gated.log[1]]


def test_a_node_that_is_tried_again_waits_once_and_begins_once(
    thread: DrivenThread, tmp_path: Path
) -> None:
    given = {"log": ["in"], "path": str(tmp_path / "tried")}
    events = thread.start("retried", given, interrupt_before=["*"], stream_modes=[TASKS])
    assert shapes(events) == paused(before("retried"), following=["retried"])
    assert not (tmp_path / "tried").exists()
    assert begun(thread.resume()) == ["retried"]
    assert thread.log == ["in", "retried"]


def test_a_node_with_an_error_handler_waits_and_its_handler_does_not(
    thread: DrivenThread,
) -> None:
    assert shapes(thread.start("handled", interrupt_before=["*"])) == paused(
        before("fails"), following=["fails"]
    )
    assert shapes(thread.resume()) == [
        ("updates", "__error_handler__fails", {"log": ["handled fails"]}),
        *paused(before("after"), following=["after"]),
    ]
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]") as refusal:
        thread.start("handled", interrupt_before=["__error_handler__fails"])
    assert refusal.metadata["nodes"] == "fails, after"


def test_a_star_covers_no_node_that_the_engine_hides_and_none_can_be_named(
    thread: DrivenThread,
) -> None:
    events = thread.start("hidden", interrupt_before=["*"])
    assert shapes(events) == paused(before("shown"), following=["shown"])
    assert thread.log == ["in", "hidden"]
    thread.resume(interrupt_after=["*"])
    assert thread.stands() == ("INTERRUPTED", [], [after("shown")])
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]"):
        thread.resume(interrupt_before=["hidden"])


def test_the_functional_api_waits_as_a_whole_and_its_tasks_have_no_breakpoints(
    thread: DrivenThread,
) -> None:
    events = thread.start("steps", "go", interrupt_before=["*"], interrupt_after=["*"])
    assert shapes(events) == paused(before("steps"), following=["steps"])
    asked = ("INTERRUPT", "steps", "go on?")
    assert shapes(thread.resume())[-2:] == paused(asked, following=["steps"])
    events = thread.resume(answer="yes", stream_modes=[UPDATES])
    assert shapes(events)[-2:] == paused(after("steps"), following=[])
    first, answer, second = value(thread.state().values)
    assert (first.partition(" ")[0], answer, second.partition(" ")[0]) == ("first", "yes", "second")
    assert shapes(thread.resume()) == [DONE]


@pytest.mark.parametrize("assistant", ["calls_graph", "calls_graph_in_thread"])
def test_a_graph_that_a_node_calls_stops_at_its_own_breakpoints(
    thread: DrivenThread, assistant: str
) -> None:
    events = thread.start(assistant, stream_modes=[TASKS], stream_subgraphs=True)
    stops = [after("call/one"), before("call/two")]
    assert begun(events) == ["call", "call/one"]
    assert shapes(events)[-2:] == paused(*stops, following=["call"])
    pauses = by_path(thread.pauses)
    # What was done in it is not done again; its second breakpoint still holds.
    events = thread.resume(pause_ids=[pauses["call/one"].pause_id])
    assert "call/two" not in begun(events)
    assert "call/one" not in begun(events)
    assert thread.pauses == [pauses["call/two"]]
    assert begun(thread.resume()) == ["call", "call/two", "after"]
    assert thread.log == ["in", "called", "call", "one", "two", "after"]
