"""interrupt(): what a node asks, and how each answer reaches the question that it is for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphwire.v1 import pause_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import pause_shape, shapes, value
from tests.e2e.driven import DrivenThread, Events
from tests.e2e.gates import Gate, until

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
NO_SUCH_ID = "00000000-0000-0000-0000-000000000000"


def asked(events: Events) -> list[pause_pb2.Pause]:
    """The pauses with which a run ended."""
    assert shapes(events)[-1] == PAUSED
    return list(events[-2].interrupted.pauses)


def wrote(node: str, text: str) -> tuple[object, ...]:
    return ("updates", node, {"log": [text]})


def cached(events: Events) -> dict[str, bool]:
    """Whether each update was kept from an earlier run, by node."""
    updates = [event.updates for event in events if event.WhichOneof("event") == "updates"]
    return {update.node: update.cached for update in updates}


def test_a_node_that_asks_pauses_the_thread_and_gets_the_answer(thread: DrivenThread) -> None:
    first = thread.start("ask")
    assert shapes(first) == [
        ("interrupted", [("INTERRUPT", "ask", {"question": "name"})], ["ask"]),
        PAUSED,
    ]
    assert thread.stands() == (
        "INTERRUPTED",
        ["ask"],
        [("INTERRUPT", "ask", {"question": "name"})],
    )
    second = thread.resume(answer="Ada")
    assert shapes(second) == [wrote("ask", "name: 'Ada'"), wrote("after", "after"), DONE]
    assert second[0].metadata.resumed_run_id == first[0].run_id
    assert thread.stands() == ("IDLE", [], [])


def test_a_question_has_its_pause_its_interrupt_id_and_its_place_in_the_state(
    thread: DrivenThread,
) -> None:
    events = thread.start("ask")
    (pause,) = asked(events)
    assert (pause.run_id, pause.thread_id) == (events[0].run_id, thread.thread_id)
    assert pause.checkpoint_id == thread.now.checkpoint_id == events[-1].end.checkpoint_id
    assert not pause.HasField("response_schema")
    state = thread.state()
    assert list(state.pauses) == [pause]
    (task,) = state.tasks
    assert (task.node, task.HasField("result"), task.HasField("error")) == ("ask", False, False)
    (interrupt,) = task.interrupts
    assert interrupt.interrupt_id == pause.interrupt_id
    assert value(interrupt.value) == {"question": "name"}


@pytest.mark.parametrize("answer", [None, False, 0, "", [], {}, {"a": {"b": [1, None]}}, 1.5, "x"])
def test_any_json_value_is_an_answer(thread: DrivenThread, answer: Any) -> None:
    thread.start("ask")
    assert shapes(thread.resume(answer=answer))[0] == wrote("ask", f"name: {answer!r}")
    assert thread.log == ["in", f"name: {answer!r}", "after"]


@pytest.mark.parametrize("answer", [None, False, {}, "", {"0" * 32: 1}])
@pytest.mark.parametrize("by", ["pause_id", "interrupt_id"])
def test_an_answer_may_name_its_question_by_pause_or_by_interrupt(
    thread: DrivenThread, by: str, answer: Any
) -> None:
    (pause,) = asked(thread.start("ask"))
    events = thread.resume(answers={getattr(pause, by): answer})
    assert shapes(events) == [wrote("ask", f"name: {answer!r}"), wrote("after", "after"), DONE]


def test_a_resume_may_name_the_pause_beside_its_answer(thread: DrivenThread) -> None:
    (pause,) = asked(thread.start("ask"))
    events = thread.resume(pause_ids=[pause.pause_id, pause.pause_id], answer=1)
    assert shapes(events)[-1] == DONE


def test_two_questions_of_one_node_are_two_pauses(thread: DrivenThread) -> None:
    (first,) = asked(thread.start("ask_twice"))
    (second,) = asked(thread.resume(answers={first.pause_id: 1}))
    assert [value(p.value) for p in (first, second)] == ["first?", "second?"]
    assert first.pause_id != second.pause_id
    assert first.interrupt_id != second.interrupt_id
    assert shapes(thread.resume(answer=2)) == [
        wrote("ask", "1, 2"),
        wrote("after", "after"),
        DONE,
    ]


@pytest.mark.parametrize("by", ["pause_id", "interrupt_id"])
def test_a_stale_id_never_answers_the_next_question(thread: DrivenThread, by: str) -> None:
    (first,) = asked(thread.start("ask_twice"))
    (second,) = asked(thread.resume(answer=1))
    stale = getattr(first, by)
    for fields in (
        {"answers": {stale: "stale"}},
        {"answers": {stale: "stale", second.pause_id: "fresh"}},
        {"pause_ids": [stale], "answer": "stale"},
    ):
        with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
            thread.resume(**fields)
        assert refusal.metadata["pause_id"] == stale
    assert thread.stands() == ("INTERRUPTED", ["ask"], [("INTERRUPT", "ask", "second?")])
    thread.resume(answers={getattr(second, by): 2})
    assert thread.log == ["in", "1, 2", "after"]


def test_parallel_questions_are_answered_together(thread: DrivenThread) -> None:
    left, right = asked(thread.start("ask_parallel"))
    events = thread.resume(answers={left.pause_id: 1, right.interrupt_id: 2})
    assert sorted(shapes(events)[:2]) == [wrote("left", "left: 1"), wrote("right", "right: 2")]
    assert shapes(events)[2:] == [wrote("done", "done"), DONE]
    assert cached(events) == {"left": False, "right": False, "done": False}


def test_parallel_questions_are_answered_one_by_one_and_the_rest_keep_their_pauses(
    thread: DrivenThread,
) -> None:
    left, right = asked(thread.start("ask_parallel"))
    second = thread.resume(answers={left.pause_id: 1})
    assert shapes(second) == [
        wrote("left", "left: 1"),
        ("interrupted", [("INTERRUPT", "right", {"question": "right"})], ["right"]),
        PAUSED,
    ]
    assert cached(second) == {"left": False}
    assert asked(second) == thread.pauses == list(thread.state().pauses) == [right]
    assert list(thread.wait(second[0].run_id).pauses) == [right]
    tasks = {task.node: task for task in thread.state().tasks}
    assert value(tasks["left"].result) == {"log": ["left: 1"]}
    assert not tasks["right"].HasField("result")

    third = thread.resume(answer=2)
    assert shapes(third) == [
        wrote("left", "left: 1"),
        wrote("right", "right: 2"),
        wrote("done", "done"),
        DONE,
    ]
    assert cached(third) == {"left": True, "right": False, "done": False}
    assert thread.log == ["in", "left: 1", "right: 2", "done"]


def test_what_was_answered_is_not_open_any_more_while_the_rest_waits(
    thread: DrivenThread,
) -> None:
    left, right = asked(thread.start("ask_parallel"))
    thread.resume(answers={left.pause_id: 1})
    for key in (left.pause_id, left.interrupt_id):
        with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
            thread.resume(answers={key: 3})
        with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
            thread.resume(answers={key: 3, right.pause_id: 2})
    thread.resume(answers={right.pause_id: 2})
    assert thread.log == ["in", "left: 1", "right: 2", "done"]


def test_sends_of_one_node_ask_each_for_itself(thread: DrivenThread) -> None:
    pauses = {value(p.value)["item"]: p for p in asked(thread.start("ask_each"))}
    assert [(p.node, number) for number, p in sorted(pauses.items())] == [
        ("ask", 1),
        ("ask", 2),
        ("ask", 3),
    ]
    assert thread.now.next == ["ask", "ask", "ask"]
    rest = asked(thread.resume(answers={pauses[2].pause_id: "two"}))
    assert rest == [pauses[1], pauses[3]]
    answers = {pauses[3].pause_id: "three", pauses[1].interrupt_id: "one"}
    assert shapes(thread.resume(answers=answers))[-1] == DONE
    assert sorted(thread.log[1:]) == ["1: 'one'", "2: 'two'", "3: 'three'"]


def test_a_question_of_a_subgraph_has_its_path_and_gets_its_answer(thread: DrivenThread) -> None:
    events = thread.start("ask_in_child")
    assert shapes(events) == [
        wrote("before", "before"),
        ("interrupted", [("INTERRUPT", "child/ask", {"question": "child"})], ["child"]),
        PAUSED,
    ]
    (pause,) = asked(events)
    (task,) = thread.state(subgraphs=True).tasks
    assert list(pause.namespace) == [f"child:{task.task_id}"]
    assert list(task.state.next) == ["ask"]
    assert shapes(thread.resume(answers={pause.pause_id: 1})) == [
        ("updates", "child", {"log": ["in", "before", "first", "child: 1"]}),
        wrote("after", "after"),
        DONE,
    ]


def test_pauses_two_levels_down_have_their_whole_path(thread: DrivenThread) -> None:
    stops = [
        ("BREAKPOINT_BEFORE", "middle/low/two"),
        ("INTERRUPT", "middle/low/two", {"question": "two"}),
        ("BREAKPOINT_AFTER", "middle/low/two"),
    ]
    seen = [*asked(thread.start("deep")), *asked(thread.resume()), *asked(thread.resume(answer=1))]
    assert [pause_shape(pause) for pause in seen] == stops
    (middle,) = thread.state(subgraphs=True).tasks
    (low,) = middle.state.tasks
    path = [f"middle:{middle.task_id}", f"low:{low.task_id}"]
    assert [list(pause.namespace) for pause in seen] == [path] * 3
    assert (list(low.state.namespace), list(low.state.next)) == (path, ["three"])
    assert shapes(thread.resume())[-2:] == [wrote("after", "after"), DONE]
    assert thread.log == ["in", "in", "in", "one", "two: 1", "three", "after"]


def test_an_entrypoint_asks_and_is_stopped_like_a_node(thread: DrivenThread) -> None:
    name = "ask_in_entrypoint"
    seen = [
        thread.start(name, 7, interrupt_before=["*"], interrupt_after=[name]),
        thread.resume(),
        thread.resume(answer=None),
        thread.resume(answer={}),
    ]
    assert [pause_shape(pause) for events in seen for pause in asked(events)] == [
        ("BREAKPOINT_BEFORE", name),
        ("INTERRUPT", name, "first?"),
        ("INTERRUPT", name, "second?"),
        ("BREAKPOINT_AFTER", name),
    ]
    assert shapes(thread.resume()) == [DONE]
    assert value(thread.state().values) == [7, None, {}]


def test_a_plain_answer_to_several_questions_is_refused_and_names_them(
    thread: DrivenThread,
) -> None:
    pauses = asked(thread.start("ask_parallel"))
    with thread.refused("INVALID_ARGUMENT", "AMBIGUOUS_ANSWER", "resume.answer") as refusal:
        thread.resume(answer=1)
    for pause in pauses:
        assert pause.pause_id in refusal.text


def test_a_resume_without_the_answer_is_refused(thread: DrivenThread) -> None:
    (pause,) = asked(thread.start("ask"))
    for fields in ({}, {"pause_ids": [pause.pause_id]}):
        with thread.refused("INVALID_ARGUMENT", "ANSWER_REQUIRED", "resume") as refusal:
            thread.resume(**fields)
        assert refusal.metadata == {"pause_id": pause.pause_id, "node": "ask"}


def test_a_resume_that_names_one_question_and_answers_another_is_refused(
    thread: DrivenThread,
) -> None:
    left, right = asked(thread.start("ask_parallel"))
    with thread.refused("INVALID_ARGUMENT", "ANSWER_REQUIRED", "resume") as refusal:
        thread.resume(pause_ids=[left.pause_id], answers={right.pause_id: 1})
    assert refusal.metadata["pause_id"] == left.pause_id


def test_an_answer_that_does_not_fit_the_response_schema_is_refused(
    thread: DrivenThread,
) -> None:
    (pause,) = asked(thread.start("ask_schema"))
    assert value(pause.response_schema)["required"] == ["amount"]
    wrong: list[tuple[Any, str]] = [
        (None, "$"),
        ("10", "$"),
        ({}, "$"),
        ({"amount": 0}, "$.amount"),
        ({"amount": "1"}, "$.amount"),
    ]
    for answer, path in wrong:
        with thread.refused("INVALID_ARGUMENT", "ANSWER_MISMATCH", "resume.answer") as refusal:
            thread.resume(answer=answer)
        assert refusal.metadata == {"pause_id": pause.pause_id, "json_path": path}
    field = f"resume.answers[{pause.interrupt_id}]"
    with thread.refused("INVALID_ARGUMENT", "ANSWER_MISMATCH", field):
        thread.resume(answers={pause.interrupt_id: {"amount": -1}})
    assert shapes(thread.resume(answer={"amount": 1})) == [
        wrote("ask", "amount: {'amount': 1}"),
        DONE,
    ]


def asked_by(thread: DrivenThread, schema: dict[str, Any]) -> pause_pb2.Pause:
    """The question that a thread waits with, asked with a schema."""
    (pause,) = asked(thread.start("ask_by_schema", {"log": [json.dumps(schema)]}))
    assert value(pause.response_schema) == schema
    return pause


def test_an_answer_is_matched_with_patterns_in_linear_time(thread: DrivenThread) -> None:
    """By Python's `re` this one would take hours, in the writer of the database."""
    name = {"type": "string", "pattern": "^([a-z]+ ?)+$"}
    pause = asked_by(thread, {"type": "object", "properties": {"name": name}})
    assert pause.response_schema_error == ""
    with thread.refused("INVALID_ARGUMENT", "ANSWER_MISMATCH", "resume.answer") as refusal:
        thread.resume(answer={"name": "a" * 34 + "!"})
    assert refusal.metadata["json_path"] == "$.name"
    assert shapes(thread.resume(answer={"name": "ada"}))[-1] == DONE


def test_an_answer_that_costs_too_much_to_check_is_refused_and_the_question_stands(
    thread: DrivenThread,
) -> None:
    pause = asked_by(thread, {"items": {"anyOf": [{"type": "string"}, {"const": 1}]}})
    with thread.refused("INVALID_ARGUMENT", "ANSWER_MISMATCH", "resume.answer") as refusal:
        thread.resume(answer=[0] * 100_000)
    assert refusal.metadata == {"pause_id": pause.pause_id, "json_path": "$"}
    assert "takes more than 300000 steps" in refusal.text
    # More than is checked on the event loop.
    assert shapes(thread.resume(answer=[1] * 1000))[-1] == DONE


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        ({"$ref": "#/$defs/Address"}, "$.$ref: '#/$defs/Address' leads nowhere"),
        (
            {"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}},
            "$.properties.a.$ref: 'http://127.0.0.1:9/x.json' is not followed; references are `#` "
            "or begin with `#/`",
        ),
        ({"$ref": "#"}, "$.$ref: it leads back to itself, and never ends"),
        ({"type": 5}, "$.type: 5 is no value for it"),
        ({"pattern": "("}, "$.pattern: '(' is no pattern of RE2: missing ): ("),
        ({"pattern": "(?=a)"}, "$.pattern: '(?=a)' is no pattern of RE2: invalid perl op"),
    ],
)
def test_a_schema_that_can_t_be_used_checks_nothing_and_the_pause_says_why(
    thread: DrivenThread, schema: dict[str, Any], error: str
) -> None:
    pause = asked_by(thread, schema)
    assert pause.response_schema_error.startswith(error)
    answered = thread.resume(answers={pause.pause_id: {"street": "x"}})
    assert shapes(answered) == [wrote("ask", "answered: {'street': 'x'}"), DONE]


def test_answers_that_contradict_each_other_are_refused(thread: DrivenThread) -> None:
    (pause,) = asked(thread.start("ask"))
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "resume.answer"):
        thread.resume(answer=1, answers={pause.pause_id: 1})
    field = f"resume.answers[{max(pause.pause_id, pause.interrupt_id)}]"
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", field):
        thread.resume(answers={pause.pause_id: 1, pause.interrupt_id: 1})


def test_an_answer_to_nothing_that_is_open_is_refused(
    thread: DrivenThread, runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    (elsewhere,) = asked(DrivenThread(runs, threads).start("ask"))
    thread.start("ask")
    for key in (NO_SUCH_ID, "0" * 32, "ask", "", elsewhere.pause_id, elsewhere.interrupt_id):
        with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
            thread.resume(answers={key: 1})
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[elsewhere.pause_id], answer=1)
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "resume.pause_ids[1]"):
        thread.resume(pause_ids=[thread.pauses[0].pause_id, ""], answer=1)


def test_a_breakpoint_takes_no_answer(thread: DrivenThread) -> None:
    (pause,) = asked(thread.start("linear", interrupt_before=["b"]))
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answer=None)
    field = f"resume.answers[{pause.pause_id}]"
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", field):
        thread.resume(answers={pause.pause_id: None})
    assert shapes(thread.resume(pause_ids=[pause.pause_id]))[-1] == DONE


def test_a_question_that_is_open_when_its_run_is_cancelled_stays_open(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="ask_beside_gate", input=gate.input)
    gate.wait_begun()
    until(lambda: any(t.interrupts for t in thread.state().tasks), "the question is asked")
    thread.cancel(run_id)
    (pause,) = thread.pauses
    assert (pause_shape(pause), pause.run_id) == (
        ("INTERRUPT", "ask", {"question": "beside"}),
        run_id,
    )
    assert thread.status == "INTERRUPTED"
    gate.open()
    assert shapes(thread.resume(answers={pause.pause_id: 1}))[-1] == DONE
    assert sorted(thread.log) == ["beside: 1", "gate", "in"]


def test_a_breakpoint_before_a_node_that_asks_comes_first(thread: DrivenThread) -> None:
    assert [pause_shape(p) for p in asked(thread.start("ask", interrupt_before=["*"]))] == [
        ("BREAKPOINT_BEFORE", "ask")
    ]
    assert [pause_shape(p) for p in asked(thread.resume())] == [
        ("INTERRUPT", "ask", {"question": "name"})
    ]
    # An answer goes back into the node, not past the breakpoint before it once more.
    events = thread.resume(answer=1)
    assert shapes(events)[0] == wrote("ask", "name: 1")
    assert [pause_shape(p) for p in asked(events)] == [("BREAKPOINT_BEFORE", "after")]


def test_an_answer_leaves_the_breakpoint_beside_it_as_it_is(thread: DrivenThread) -> None:
    pauses = {pause.node: pause for pause in asked(thread.start("stop_and_ask"))}
    assert {node: pause_shape(pause)[:2] for node, pause in pauses.items()} == {
        "danger": ("BREAKPOINT_BEFORE", "child/danger"),
        "ask": ("INTERRUPT", "ask"),
    }
    with thread.refused("INVALID_ARGUMENT", "ANSWER_REQUIRED", "resume"):
        thread.resume()
    events = thread.resume(answer=1)
    assert shapes(events) == [
        wrote("ask", "beside: 1"),
        ("interrupted", [("BREAKPOINT_BEFORE", "child/danger")], ["child"]),
        ("end", "INTERRUPTED"),
    ]
    # It waits as it did before: under the same id, and for what is approved now.
    assert thread.pauses == [pauses["danger"]]
    events = thread.resume(pause_ids=[pauses["danger"].pause_id])
    assert shapes(events)[1:] == [
        ("updates", "child", {"log": ["in", "one", "danger"]}),
        wrote("done", "done"),
        DONE,
    ]
    assert cached(events) == {"ask": True, "child": False, "done": False}


def test_an_answer_and_the_breakpoint_beside_it_can_be_resumed_at_once(
    thread: DrivenThread,
) -> None:
    pauses = {pause.node: pause for pause in asked(thread.start("stop_and_ask"))}
    events = thread.resume(pause_ids=[pauses["danger"].pause_id], answer=1)
    assert sorted(shapes(events)[:2]) == [
        wrote("ask", "beside: 1"),
        ("updates", "child", {"log": ["in", "one", "danger"]}),
    ]
    assert shapes(events)[2:] == [wrote("done", "done"), DONE]


def test_a_breakpoint_may_be_released_while_a_question_goes_on_waiting(
    thread: DrivenThread,
) -> None:
    pauses = {pause.node: pause for pause in asked(thread.start("stop_and_ask"))}
    events = thread.resume(pause_ids=[pauses["danger"].pause_id])
    assert asked(events) == [pauses["ask"]]
    assert shapes(events)[0] == ("updates", "child", {"log": ["in", "one", "danger"]})
    events = thread.resume(answer=1)
    assert shapes(events)[-2:] == [wrote("done", "done"), DONE]
    assert cached(events) == {"child": True, "ask": False, "done": False}
