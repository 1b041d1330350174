"""Where a thread stands: what has finished, what waits, and what a run must know of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from graphwire_server.graphs.breakpoints import Breakpoint, Met
from graphwire_server.graphs.execution import Fresh, GoOn, Steer
from graphwire_server.graphs.gate import Held, Known
from graphwire_server.graphs.judge import Judge
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.places import Breakpoints, Place, Task
from graphwire_server.graphs.position import (
    Position,
    Standing,
    Waiting,
    question,
    with_unseen,
)
from graphwire_server.graphs.state import edit_state, fork, thread_config
from graphwire_server.graphs.stops import StoppedAfter
from graphwire_server.storage.records import PauseKind
from graphwire_server.storage.sqlite import SqliteStorage
from langgraph.errors import NodeError
from langgraph.graph import START, StateGraph
from langgraph.types import Interrupt, interrupt

from tests.graphs.driven import THREAD, Driver, names
from tests.graphs.small import INPUT, Log, asks, beside, chain, fails, writes

BEFORE, AFTER, QUESTION = (
    PauseKind.BREAKPOINT_BEFORE,
    PauseKind.BREAKPOINT_AFTER,
    PauseKind.INTERRUPT,
)


MET = (Met(Breakpoint("a", after=True)),)


def short(waiting: tuple[Waiting, ...]) -> list[tuple[str, ...]]:
    """What waits, in short: kind, path, and the question if there is one."""
    return [
        (
            reason.kind.value,
            "/".join([*names(reason.namespace), reason.node]),
            *([reason.value] if reason.value else []),
        )
        for reason in waiting
    ]


async def begun(driver: Driver, beginning: Any = None) -> Position:
    return await driver.run(beginning or Fresh(INPUT))


# --- what is read ---


async def test_a_thread_on_which_nothing_has_run_stands_nowhere(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a")).compile(), storage)
    assert await driver.position() == Position("", (), None)


async def test_a_thread_at_its_end_waits_for_nothing(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a")).compile(), storage)
    position = await begun(driver)
    assert (position.next, position.values) == ((), '{"log":["in","a"]}')
    assert (position.tasks, position.approvable(), position.unfinished()) == ((), [], [])


async def test_what_waits_at_a_breakpoint_is_told_by_its_task(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage, before=("b",))
    position = await begun(driver)
    (standing,) = position.tasks
    assert (standing.task.node, standing.task.namespace) == ("b", ())
    assert (standing.finished, standing.questions, standing.inside) == (False, (), False)
    assert position.next == ("b",)
    assert position.approvable() == position.unfinished() == [standing.task.task_id]
    (reason,) = await driver.waiting()
    met = (Met(Breakpoint("b")),)
    assert reason == Waiting(BEFORE, "b", task_id=standing.task.task_id, met=met)
    await driver.approve()
    assert await driver.waiting() == ()


async def test_a_question_is_told_with_its_schema(storage: SqliteStorage) -> None:
    from langgraph.types import interrupt

    async def ask(state: Log) -> Log:
        return {"log": [interrupt({"a": 1}, response_schema={"type": "string"})]}

    driver = Driver(chain(ask=ask).compile(), storage)
    await begun(driver)
    (reason,) = await driver.waiting()
    assert (reason.kind, reason.value, reason.response_schema) == (
        QUESTION,
        '{"a":1}',
        '{"type":"string"}',
    )


async def test_of_several_questions_of_one_node_only_the_one_without_an_answer_waits(
    storage: SqliteStorage,
) -> None:
    driver = Driver(chain(ask=asks("first?", "second?")).compile(), storage)
    position = await begun(driver)
    (first,) = position.questions()
    position = await driver.run(GoOn({first.interrupt_id: "A"}))
    (second,) = position.questions()
    assert (first.value, second.value) == ('"first?"', '"second?"')
    assert first.interrupt_id != second.interrupt_id
    # An answer that was taken goes to no other question.
    assert position.unanswered({first.interrupt_id: "A"}) == {}
    assert position.unanswered({second.interrupt_id: "B"}) == {second.interrupt_id: "B"}
    position = await driver.run(GoOn({second.interrupt_id: "B"}))
    assert position.values == '{"log":["in","first? A","second? B"]}'


async def test_beside_each_other_tasks_finish_one_by_one(storage: SqliteStorage) -> None:
    driver = Driver(beside(a=writes("a"), ask=asks("q?"), b=asks("r?")).compile(), storage)
    position = await begun(driver)
    assert {s.task.node: s.finished for s in position.tasks} == {
        "a": True,
        "ask": False,
        "b": False,
    }
    assert position.finished_nodes() == {(): ("a",)}
    assert position.next == ("ask", "b")
    question, other = position.questions()
    position = await driver.run(GoOn({question.interrupt_id: 1}))
    assert position.finished_nodes() == {(): ("a", "ask")}
    assert position.questions() == (other,)
    assert len(position.approvable()) == 3
    assert position.unfinished() == [other.task_id]


async def test_what_has_failed_has_not_finished(storage: SqliteStorage) -> None:
    driver = Driver(beside(a=writes("a"), fails=fails).compile(), storage)
    with pytest.raises(ValueError, match="as it is"):
        await begun(driver)
    position = await driver.position()
    assert {s.task.node: s.finished for s in position.tasks} == {"a": True, "fails": False}
    assert position.next == ("fails",)


async def test_a_step_that_has_not_ended_comes_next_though_all_of_it_has_finished(
    storage: SqliteStorage,
) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage, before=("a",))
    position = await begun(driver)
    (standing,) = position.tasks
    written = [("log", ["a"]), ("branch:to:b", None)]
    head = thread_config(THREAD, position.checkpoint_id)
    await storage.checkpointer.aput_writes(head, written, standing.task.task_id)
    position = await driver.position()
    assert (position.next, position.values) == (("a",), '{"log":["in","a"]}')
    assert position.finished_nodes() == {(): ("a",)}
    # Going on ends the step, and runs nothing of it again.
    await driver.run()
    assert driver.begun == ["b"]


async def test_a_node_that_a_command_goes_to_comes_next(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage)
    end = await begun(driver)
    driver.before = ("a",)
    position = await driver.run(Steer({"log": ["u"]}, [("a", None), ("b", {"log": []})]))
    assert driver.begun == []
    assert position.checkpoint_id == end.checkpoint_id
    assert sorted(position.next) == ["a", "b"]
    assert position.values == '{"log":["in","a","b","u"]}'
    assert short(await driver.waiting()) == [("BREAKPOINT_BEFORE", "a")]
    await driver.approve()
    await driver.run()
    assert sorted(driver.begun[:2]) == ["a", "b"]


# --- subgraphs ---


@pytest.mark.parametrize("checkpointer", [None, True])
async def test_inside_a_subgraph_its_tasks_wait_and_the_one_above_does_not(
    storage: SqliteStorage, checkpointer: bool | None
) -> None:
    child = chain(one=writes("one"), two=writes("two")).compile(
        checkpointer=checkpointer, interrupt_before=["two"]
    )
    driver = Driver(chain(child=child).compile(), storage, before=("child",))
    position = await begun(driver)
    (above,) = position.tasks
    assert (above.task.node, above.inside) == ("child", False)
    await driver.approve()
    position = await driver.run()
    above, below = position.tasks
    assert (above.inside, above.finished) == (True, False)
    assert (below.task.node, names(below.task.namespace)) == ("two", ["child"])
    assert position.next == ("child",)
    assert short(await driver.waiting()) == [("BREAKPOINT_BEFORE", "child/two")]
    # Whoever adds a breakpoint now is too late for what has begun.
    assert position.known((), {}).approved == {above.task.task_id}


async def test_a_subgraph_with_memory_has_begun_only_once_it_is_of_this_step(
    storage: SqliteStorage,
) -> None:
    child = chain(one=writes("one"), two=writes("two")).compile(
        checkpointer=True, interrupt_before=["two"]
    )
    driver = Driver(chain(child=child).compile(), storage)
    await begun(driver)
    await driver.approve()
    await driver.run()
    driver.before = ("child",)
    position = await begun(driver)
    # It has a state, of the time before.
    (above,) = position.tasks
    assert (above.task.node, above.inside) == ("child", False)
    assert short(await driver.waiting()) == [("BREAKPOINT_BEFORE", "child")]
    await driver.approve()
    position = await driver.run()
    assert driver.begun == ["child", "child/one"]
    assert [standing.inside for standing in position.tasks] == [True, False]


async def test_a_question_in_a_subgraph_is_asked_there_and_nowhere_above(
    storage: SqliteStorage,
) -> None:
    inner = chain(ask=asks("q?", "r?")).compile()
    driver = Driver(chain(middle=chain(low=inner).compile()).compile(), storage)
    position = await begun(driver)
    (question,) = position.questions()
    assert short((question,)) == [("INTERRUPT", "middle/low/ask", '"q?"')]
    position = await driver.run(GoOn({question.interrupt_id: 1}))
    assert short(position.questions()) == [("INTERRUPT", "middle/low/ask", '"r?"')]
    assert position.questions()[0].task_id == question.task_id


# --- after a node ---


async def test_a_checkpoint_says_that_a_breakpoint_after_a_node_was_met(
    storage: SqliteStorage,
) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage, after=("a",))
    position = await begun(driver)
    assert position.stopped_after == (StoppedAfter((), position.checkpoint_id, {"a": MET}),)
    assert await driver.waiting() == (Waiting(AFTER, "a", task_id=position.checkpoint_id, met=MET),)
    assert position.checkpoint_id in position.approvable()
    assert position.checkpoint_id in position.unfinished()
    await driver.approve()
    position = await driver.run()
    assert driver.begun == ["b"]
    assert position.stopped_after == ()


async def test_a_breakpoint_after_the_last_node_of_a_subgraph_is_met_in_it(
    storage: SqliteStorage,
) -> None:
    child = chain(one=writes("one")).compile(interrupt_after=["one"])
    driver = Driver(chain(child=child, b=writes("b")).compile(), storage)
    position = await begun(driver)
    (stopped,) = position.stopped_after
    assert (names(stopped.namespace), tuple(stopped.met)) == (["child"], ("one",))
    assert short(await driver.waiting()) == [("BREAKPOINT_AFTER", "child/one")]
    await driver.approve()
    await driver.run()
    assert driver.begun == ["child", "b"]


async def test_an_edit_or_a_fork_is_another_position(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage, before=("b",))
    stood = await begun(driver)
    await driver.approve()
    await edit_state(driver.graph, THREAD, {"log": ["edit"]})
    edited = await driver.position()
    await fork(driver.graph, THREAD, stood.checkpoint_id)
    forked = await driver.position()
    ids = [position.tasks[0].task.task_id for position in (stood, edited, forked)]
    assert len(set(ids)) == 3
    assert short(await driver.waiting()) == [("BREAKPOINT_BEFORE", "b")]


# --- what a run must know, and whether it can do anything ---


def standing(
    node: str,
    *,
    finished: bool = False,
    asks: str = "",
    inside: bool = False,
    namespace: tuple[str, ...] = (),
) -> Standing:
    questions = (Interrupt(value=asks, id=f"{node}-i"),) if asks else ()
    return Standing(Task(f"{node}-t", node, namespace), finished, questions, inside)


def at(*tasks: Standing, stopped: tuple[StoppedAfter, ...] = ()) -> Position:
    return Position("c", tuple(s.task.node for s in tasks), "{}", tasks, stopped)


NODES = ("a", "b", "c", "child")


def judge(*names: str) -> Judge:
    places = {
        (): Place(Breakpoints(), NODES, keeps_checkpoints=True, has_doors=True),
        ("child",): Place(
            Breakpoints(),
            ("one", "two", "inner", "waits", "goes"),
            keeps_checkpoints=True,
            has_doors=True,
        ),
    }
    return Judge(places, [Breakpoint(name) for name in names])


STARS = judge("*", "child/*")
IN_CHILD = ("child:child-t",)


def stuck(
    position: Position,
    breakpoints: Judge = STARS,
    *,
    approved: tuple[str, ...] = (),
    answers: Any = None,
) -> list[str]:
    """The nodes that wait where nothing at all can begin."""
    known = position.known(approved, answers or {})
    return [reason.node for reason in position.stuck(breakpoints, known, answers or {})]


def test_where_every_task_waits_nothing_can_begin() -> None:
    assert stuck(at(standing("a"), standing("b"))) == ["a", "b"]
    assert stuck(at(standing("a", asks="?"), standing("b"))) == ["a", "b"]


def test_where_one_task_is_approved_that_one_can_begin() -> None:
    assert stuck(at(standing("a"), standing("b")), approved=("a-t",)) == []
    # It has finished; what is left waits.
    assert stuck(at(standing("a", finished=True), standing("b")), approved=("a-t",)) == ["b"]


def test_a_step_that_has_not_begun_waits_as_a_whole() -> None:
    one = judge("b")
    assert stuck(at(standing("a"), standing("b")), one) == ["b"]
    assert stuck(at(standing("a"), standing("b"), standing("c", finished=True)), one) == []


def test_an_answer_lets_its_task_begin() -> None:
    position = at(standing("a", asks="?"), standing("b", asks="?"))
    assert stuck(position) == ["a", "b"]
    assert stuck(position, answers={"b-i": None}) == []


def test_nothing_begins_where_a_breakpoint_after_a_node_is_not_approved() -> None:
    stop = StoppedAfter((), "c", {"z": ()})
    assert stuck(at(standing("a"), stopped=(stop,)), judge()) == ["z"]
    assert stuck(at(standing("a"), stopped=(stop,)), judge(), approved=("c",)) == []


def test_a_task_in_a_subgraph_can_go_on_where_something_in_there_can() -> None:
    above = standing("child", inside=True)
    waits, goes = (standing(name, namespace=IN_CHILD) for name in ("waits", "goes"))
    assert stuck(at(above, waits)) == ["waits"]
    assert stuck(at(above, waits, goes), approved=("goes-t",)) == []


def test_a_task_in_a_subgraph_that_has_only_to_end_can_end() -> None:
    above = standing("child", inside=True)
    assert stuck(at(above)) == []
    assert stuck(at(above, standing("one", finished=True, namespace=IN_CHILD))) == []
    stop = StoppedAfter(IN_CHILD, "c2", {"one": ()})
    assert stuck(at(above, stopped=(stop,))) == ["one"]
    # One with memory has its namespace without the ids of tasks.
    memory = StoppedAfter(("child",), "c2", {"one": ()})
    assert stuck(at(above, stopped=(memory,))) == ["one"]


def test_where_nothing_is_left_nothing_is_stuck() -> None:
    assert stuck(at()) == []
    assert stuck(at(standing("a", finished=True))) == []


def test_what_a_run_must_know() -> None:
    position = at(
        standing("done", finished=True),
        standing("asks", asks="?"),
        standing("answered", asks="?"),
        standing("child", inside=True),
        standing("inner", namespace=IN_CHILD),
        stopped=(StoppedAfter(IN_CHILD, "c2", {"one": ()}),),
    )
    assert position.known({"x"}, {"answered-i": 1}) == Known(
        # What has begun has passed its breakpoint.
        approved=frozenset({"x", "asks-t", "answered-t", "child-t"}),
        begun=frozenset({()}),
        inside=frozenset({"child-t"}),
        asking=frozenset({"asks-t"}),
        after={IN_CHILD: "c2"},
    )


def test_a_step_has_begun_where_something_in_it_was_approved() -> None:
    position = at(standing("child", inside=True), standing("inner", namespace=IN_CHILD))
    assert position.known((), {}).begun == {()}
    assert position.known({"inner-t"}, {}).begun == {(), IN_CHILD}
    assert at(standing("a"), standing("b")).known((), {}).begun == frozenset()


def test_what_a_called_graph_asked_and_was_answered_is_asked_no_more() -> None:
    relays = Standing(Task("a-t", "a", ()), False, (Interrupt("?", id="q"),), False, relays=True)
    position = at(relays, standing("own", asks="?"))
    assert stuck(position) == ["a", "own"]
    assert position.answered({"other"}) == position
    answered = position.answered({"q", "own-i"})
    # What its own tasks ask, the position knows by itself.
    assert [question.node for question in answered.questions()] == ["own"]
    assert stuck(answered) == []
    assert answered.noted == {"q"}
    assert answered.unanswered({"q": 1, "own-i": 2, "other": 3}) == {"q": 1, "own-i": 2}


def test_an_answer_to_what_only_its_note_tells_of_lets_the_thread_go_on() -> None:
    position = replace(at(standing("a", asks="?")), noted=frozenset({"q"}))
    assert stuck(position, answers={"other": None}) == ["a"]
    assert stuck(position, answers={"q": None}) == []


def test_what_was_asked_where_nobody_sees_it_is_waited_for_if_it_was_noted() -> None:
    position = replace(at(), noted=frozenset({"q"}))
    asked = {
        key: question(Task("t", "node", IN_CHILD), key, "?", None) for key in ("q", "swallowed")
    }
    held = Held(Task("d", "danger", IN_CHILD))
    waiting = with_unseen(position, (), [held], asked)
    assert [(reason.node, reason.interrupt_id) for reason in waiting] == [
        ("node", "q"),
        ("danger", ""),
    ]


async def test_a_task_that_failed_and_is_handled_has_begun(storage: SqliteStorage) -> None:
    async def handles(state: Log, error: NodeError) -> Log:
        return {"log": [interrupt("handle?")]}

    graph = StateGraph(Log)
    graph.add_node("fails", fails, error_handler=handles)
    graph.add_edge(START, "fails")
    driver = Driver(cast(AnyPregel, graph.compile()), storage)
    position = await driver.run(Fresh(INPUT))
    (failed,) = position.tasks
    assert (failed.inside, failed.finished, failed.questions) == (True, False, ())
    assert len(position.noted) == 1
