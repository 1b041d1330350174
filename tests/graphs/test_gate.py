"""The gate: its decisions by themselves, and with real graphs behind doors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
from graphwire_server.graphs.breakpoints import Breakpoint
from graphwire_server.graphs.execution import Fresh, GoOn, Steer
from graphwire_server.graphs.gate import Gate, Known
from graphwire_server.graphs.judge import Judge
from graphwire_server.graphs.places import Breakpoints, Namespace, Path, Place, Task
from graphwire_server.graphs.stops import StoppedAfter
from graphwire_server.storage.sqlite import SqliteStorage
from langchain_core.runnables import RunnableLambda
from langgraph.errors import GraphInterrupt
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from tests.graphs.driven import Driver
from tests.graphs.small import INPUT, Log, asks, beside, chain, fails, writes

CHILD: Namespace = ("child:1",)
NOTHING_KNOWN, NONE = Known(), Breakpoints()
RUN_ID = "00000000-0000-4000-8000-000000000000"


class Told:
    """A gate, and what it has asked and told its run."""

    def __init__(
        self,
        known: Known = NOTHING_KNOWN,
        *,
        before: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
        child: Breakpoints = NONE,
        called: bool = False,
    ) -> None:
        self.log: list[str] = []
        self.closed = False
        self.cancelled = False
        nodes = ("a", "b", "child")
        places: Mapping[Path, Place] = {
            (): Place(Breakpoints(), nodes, keeps_checkpoints=True, has_doors=True),
            ("child",): Place(child, ("a", "b"), keeps_checkpoints=True, has_doors=not called),
        }
        lists = [Breakpoint(name) for name in before]
        lists += [Breakpoint(name, after=True) for name in after]
        self.gate = Gate(
            Judge(places, lists),
            places,
            known,
            durable=self._durable,
            begin=lambda task_id: self.log.append(f"begin {task_id}"),
            closed=lambda: self.closed,
            cancelled=lambda: self.cancelled,
        )

    async def _durable(self) -> None:
        self.log.append("durable")

    def announced(self, *tasks: Task) -> list[bool]:
        return [self.gate.announce(task) for task in tasks]

    def stepped(self, namespace: Namespace, checkpoint_id: str) -> tuple[str, ...]:
        met = self.gate.stepped(namespace)
        if met:
            self.gate.stop_after(StoppedAfter(namespace, checkpoint_id, met))
        return tuple(met)


def task(node: str, namespace: Namespace = (), number: int = 1) -> Task:
    return Task(f"{node}{number}", node, namespace)


def held() -> Any:
    return pytest.raises(GraphInterrupt)


# --- before a task ---


async def test_what_has_no_breakpoint_begins_once_it_is_announced() -> None:
    told = Told(before=("b",))
    assert told.announced(task("a")) == [True]
    await told.gate.enter(task("a"))
    # What tells of it is made before the wait for the disk, and goes there with it.
    assert told.log == ["begin a1", "durable"]


async def test_a_task_that_is_tried_again_begins_no_second_time() -> None:
    told = Told(Known(approved=frozenset({"a1"})), before=("a",))
    told.announced(task("a"))
    await told.gate.enter(task("a"))
    told.closed = True
    await told.gate.enter(task("a"))
    assert told.log == ["begin a1", "durable", "durable"]


@pytest.mark.parametrize("names", [("b",), ("*",), ("a", "b")])
async def test_a_step_that_is_reached_for_the_first_time_waits_as_a_whole(
    names: tuple[str, ...],
) -> None:
    told = Told(before=names)
    with held():
        told.announced(task("a"), task("b"))
    assert told.log == []


async def test_a_step_that_has_begun_is_decided_task_by_task() -> None:
    told = Told(Known(approved=frozenset({"b1"}), begun=frozenset({()})), before=("b",))
    assert told.announced(task("a"), task("b"), task("b", number=2)) == [True] * 3
    await told.gate.enter(task("a"))
    await told.gate.enter(task("b"))
    with held():
        await told.gate.enter(task("b", number=2))
    assert told.log == ["begin a1", "durable", "begin b1", "durable"]


async def test_the_next_step_is_a_new_one() -> None:
    told = Told(Known(begun=frozenset({()})), before=("b",))
    told.announced(task("a"))
    told.stepped((), "c1")
    with held():
        told.announced(task("b"))


async def test_an_approval_is_for_one_task_and_not_for_its_node() -> None:
    told = Told(Known(approved=frozenset({"b1"})), before=("b",))
    assert told.announced(task("b")) == [True]
    with held():
        told.announced(task("b", number=2))


async def test_what_asks_and_has_no_answer_does_not_begin() -> None:
    told = Told(Known(begun=frozenset({()}), asking=frozenset({"a1"})))
    assert told.announced(task("a"), task("b")) == [True, True]
    with held():
        await told.gate.enter(task("a"))
    await told.gate.enter(task("b"))


async def test_nothing_begins_where_the_gate_is_closed() -> None:
    told = Told()
    told.announced(task("a"))
    told.closed = True
    with held():
        await told.gate.enter(task("a"))
    with held():
        told.announced(task("b"))
    assert told.log == []


async def test_functions_that_a_node_calls_as_tasks_have_neither_breakpoints_nor_doors() -> None:
    told = Told(before=("*",), after=("*",), known=Known(approved=frozenset({"a1"})))
    assert told.announced(task("a"), task("helper")) == [True, False]
    assert told.stepped((), "c1") == ("a",)


async def test_a_subgraph_has_the_breakpoints_that_are_compiled_into_it_and_no_others() -> None:
    told = Told(before=("a",), child=Breakpoints(before=("b",)))
    assert told.announced(task("a", CHILD)) == [True]
    with held():
        told.announced(task("b", CHILD))
    # Repeated calls of a subgraph are told apart by numbers, which say nothing of the place.
    with held():
        told.announced(task("b", ("child:1", "2")))
    assert told.announced(task("a", ("elsewhere:1",))) == [False]


async def test_a_graph_that_a_node_calls_has_no_doors_and_waits_as_a_whole() -> None:
    known = Known(begun=frozenset({CHILD}), approved=frozenset({"b1"}))
    told = Told(known, child=Breakpoints(before=("b",)), called=True)
    assert told.announced(task("a", CHILD), task("b", CHILD)) == [False, False]
    with held():
        told.announced(task("b", CHILD, number=2))


# --- after a node ---


async def test_a_step_with_a_breakpoint_after_one_of_its_nodes_ends_in_a_stop() -> None:
    told = Told(after=("b",))
    told.announced(task("a"), task("b"), task("b", number=2))
    assert told.stepped((), "c1") == ("b",)
    assert told.gate.stands_after()
    with held():
        told.announced(task("a", number=2))


async def test_a_stop_that_is_approved_holds_nothing_and_one_that_follows_does() -> None:
    told = Told(Known(after={(): "c1"}, approved=frozenset({"c1"})), after=("*",))
    assert not told.gate.stands_after()
    told.announced(task("a"))
    assert told.stepped((), "c2") == ("a",)
    assert told.gate.stands_after()


async def test_a_stop_that_is_known_from_before_holds_until_it_is_approved() -> None:
    with held():
        Told(Known(after={(): "c1"})).announced(task("a"))
    told = Told(Known(after={CHILD: "c1"}))
    assert told.announced(task("a")) == [True]
    with held():
        told.announced(task("a", CHILD))


async def test_a_subgraph_that_ends_in_a_stop_is_not_left() -> None:
    told = Told(child=Breakpoints(after=("b",)))
    told.announced(task("a", CHILD))
    assert told.stepped(CHILD, "c1") == ()
    await told.gate.leave(CHILD)
    told.announced(task("b", CHILD))
    assert told.stepped(CHILD, "c2") == ("b",)
    assert not told.gate.stands_after()
    with held():
        await told.gate.leave(CHILD)


# --- caches ---


def test_nodes_with_a_breakpoint_before_or_inside_them_are_barred_wherever_they_are() -> None:
    told = Told(before=("a",), after=("child",), child=Breakpoints(before=("b",)))
    names = ("a", "b", "child", "other")
    assert [told.gate.bars(name) for name in names] == [True, True, True, False]
    assert Told(before=("*",)).gate.bars("anything")


# --- real graphs ---


async def test_every_kind_of_node_waits_at_its_door(storage: SqliteStorage) -> None:
    def plain(state: Log) -> Log:
        return {"log": ["plain"]}

    class Callable:
        async def __call__(self, state: Log) -> Log:
            return {"log": ["callable"]}

    piped = RunnableLambda(writes("piped")) | RunnableLambda(lambda update: update)
    graph = chain(
        plain=plain,
        callable=Callable(),
        piped=piped,
        child=chain(inner=writes("inner")).compile(),
    )
    driver = Driver(graph.compile(), storage, before=("*",))
    position = await driver.run(Fresh(INPUT))
    seen: list[str] = []
    while position.next:
        assert driver.begun == seen[-1:]
        (waiting,) = await driver.waiting()
        seen.append(waiting.node)
        await driver.approve()
        position = await driver.run()
    assert seen == ["plain", "callable", "piped", "child"]
    assert driver.begun == ["child", "child/inner"]
    assert position.values == (
        '{"log":["in","plain","callable","piped","in","plain","callable","piped","inner"]}'
    )


@pytest.mark.parametrize(
    ("beginning", "configurable"),
    [
        (Fresh(INPUT), {}),
        (GoOn(), {}),
        (GoOn({"0" * 32: "an answer that nobody waits for"}), {}),
        (GoOn(), {"__pregel_resuming": True}),
        (Steer(update={"log": ["u"]}), {}),
        (Steer(goto=[("b", None)]), {}),
    ],
    ids=["same", "None", "answer", "forged", "update", "goto"],
)
async def test_whatever_a_run_is_started_with_nothing_passes_that_was_not_approved(
    storage: SqliteStorage, beginning: Any, configurable: Mapping[str, Any]
) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage, before=("b",))
    await driver.run(Fresh(INPUT), run_id=RUN_ID)
    stands = await driver.waiting()
    for _ in range(2):
        await driver.run(beginning, configurable=configurable, run_id=RUN_ID)
        assert driver.begun == []
        assert await driver.waiting() == stands


async def test_new_input_leads_to_another_position(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a"), b=writes("b")).compile(), storage, before=("b",))
    await driver.run(Fresh(INPUT))
    (old,) = await driver.waiting()
    await driver.approve()
    await driver.run(Fresh(INPUT))
    assert driver.begun == ["a"]
    (new,) = await driver.waiting()
    assert (new.node, new.task_id != old.task_id) == ("b", True)


async def test_a_step_that_is_held_leaves_no_trace(storage: SqliteStorage) -> None:
    driver = Driver(beside(a=writes("a"), b=writes("b")).compile(), storage, before=("b",))
    await driver.run(Fresh(INPUT))
    state = await driver.graph.aget_state({"configurable": {"thread_id": "thread"}})
    assert [(t.name, t.error, t.interrupts, t.result) for t in state.tasks] == [
        ("a", None, (), None),
        ("b", None, (), None),
    ]
    assert driver.begun == []


async def test_one_send_of_three_that_was_approved_runs_alone(storage: SqliteStorage) -> None:
    async def work(item: Any) -> Log:
        return {"log": [f"work {item['n']}"]}

    graph = StateGraph(Log)
    graph.add_node("work", cast(Any, work))
    graph.add_conditional_edges(START, lambda s: [Send("work", {"n": n}) for n in (1, 2, 3)])
    driver = Driver(graph.compile(), storage, before=("work",))
    await driver.run(Fresh(INPUT))
    _, two, _ = await driver.waiting()
    driver.approved.add(two.task_id)
    position = await driver.run()
    assert [standing.finished for standing in position.tasks] == [False, True, False]
    assert position.values == '{"log":["in","work 2"]}'


async def test_a_branch_that_is_approved_releases_no_other(storage: SqliteStorage) -> None:
    def child(name: str) -> Any:
        return chain(one=writes(f"{name} one"), two=writes(f"{name} two")).compile(
            interrupt_before=["two"]
        )

    driver = Driver(beside(left=child("left"), right=child("right")).compile(), storage)
    await driver.run(Fresh(INPUT))
    left, right = await driver.waiting()
    driver.approved.add(left.task_id)
    await driver.run()
    assert driver.begun == ["left", "right", "left/two"]
    assert await driver.waiting() == (right,)


async def test_an_answer_releases_no_breakpoint_beside_it(storage: SqliteStorage) -> None:
    gated = chain(one=writes("one"), two=writes("two")).compile(interrupt_before=["two"])
    driver = Driver(beside(ask=asks("q?"), gated=gated).compile(), storage)
    await driver.run(Fresh(INPUT))
    question, stop = await driver.waiting()
    await driver.run(GoOn({question.interrupt_id: "A"}))
    assert driver.begun == ["ask", "gated"]
    assert await driver.waiting() == (stop,)


async def test_a_closed_gate_stops_the_graph_at_the_end_of_its_step(
    storage: SqliteStorage,
) -> None:
    async def closes(state: Log) -> Log:
        driver.closed = True
        return {"log": ["closes"]}

    driver = Driver(chain(closes=closes, b=writes("b")).compile(), storage)
    position = await driver.run(Fresh(INPUT))
    assert (driver.begun, position.next) == (["closes"], ("b",))
    assert position.values == '{"log":["in","closes"]}'
    driver.closed = False
    await driver.run()
    assert driver.begun == ["b"]


async def test_what_failed_is_approved_still(storage: SqliteStorage) -> None:
    driver = Driver(chain(fails=fails).compile(), storage, before=("*",))
    await driver.run(Fresh(INPUT))
    await driver.approve()
    for _ in range(2):
        with pytest.raises(ValueError, match="as it is"):
            await driver.run()
        assert driver.begun == ["fails"]
        assert await driver.waiting() == ()
