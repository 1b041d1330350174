"""What the judge of a run says, where the order of things decides."""

from __future__ import annotations

import asyncio
import operator
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from graphwire import errors
from graphwire_server.graphs.breakpoints import Breakpoint, BreakpointSource, breakpoints_text
from graphwire_server.graphs.doors import with_doors
from graphwire_server.graphs.judge import Facts, Judge, Stepping
from graphwire_server.graphs.places import Task
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.execution import Outcome, RunExecution
from graphwire_server.runs.request import CommandStart, Given, InputStart, ResumeStart
from graphwire_server.runs.steering import RunSteering
from graphwire_server.storage.records import PauseStatus, ThreadRecord, ThreadStatus
from langgraph.channels import UntrackedValue
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from tests.graphs.small import Log
from tests.runs.in_process import INPUT, Ledger, Services, serving


def at(node: str, condition: str = "", breakpoint_id: str = "x", **fields: Any) -> Breakpoint:
    """A breakpoint."""
    return Breakpoint(node, breakpoint_id, condition=condition, **fields)


def steering(server: Services) -> RunSteering:
    """Who steers the runs of a server."""
    return RunSteering(
        storage=server.storage,
        registry=server.runs._registry,
        executor=server.executor,
        completion=Completion(),
    )


async def thread_with(server: Services, *breakpoints: Breakpoint) -> str:
    """A thread with breakpoints of its own."""
    thread = ThreadRecord(
        thread_id="t",
        status=ThreadStatus.IDLE,
        metadata="{}",
        create_time=0,
        update_time=0,
        breakpoints=breakpoints_text(breakpoints),
    )
    await server.storage.write(lambda tx: tx.insert_thread(thread))
    return "t"


def owned(node: str, breakpoint_id: str, condition: str = "", **fields: Any) -> Breakpoint:
    """A breakpoint of a thread."""
    source = BreakpointSource.THREAD
    return Breakpoint(node, breakpoint_id, condition=condition, source=source, **fields)


async def test_what_was_held_waits_though_its_breakpoint_is_removed_a_moment_later(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        stopped = RunExecution._where_it_stopped

        async def removed_first(execution: RunExecution, *arguments: Any) -> Outcome:
            await steering(server).remove(execution._run.run_id, ["x"])
            return await stopped(execution, *arguments)

        monkeypatch.setattr(RunExecution, "_where_it_stopped", removed_first)
        run = await server.start(INPUT, breakpoints=(at("b", "true"),))
        assert (run.status, run.waits) == ("INTERRUPTED", [("BREAKPOINT_BEFORE", "b")])
        monkeypatch.undo()
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"
        assert ledger == ["a", "b"]


class Seen(TypedDict, total=False):
    """A state with a value that no checkpoint keeps."""

    log: Annotated[list[str], operator.add]
    secret: Annotated[str, UntrackedValue]


async def test_a_condition_over_what_no_checkpoint_keeps_holds_all_the_same(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Where the run stands when it has stopped, the value is not there any more."""

    async def tell(state: Seen) -> Seen:
        return {"log": ["tell"], "secret": "shh"}

    graph: Any = StateGraph(Seen)
    graph.add_node("tell", tell)
    graph.add_node("danger", ledger.node("danger"))
    graph.add_edge(START, "tell")
    graph.add_edge("tell", "danger")
    async with serving(tmp_path, graph.compile()) as server:
        breakpoints = (at("danger", "has(state.secret) && state.secret == 'shh'"),)
        run = await server.start(INPUT, breakpoints=breakpoints)
        assert (run.status, run.waits) == ("INTERRUPTED", [("BREAKPOINT_BEFORE", "danger")])
        assert ledger == []
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"


async def test_the_breakpoints_of_a_thread_hold_in_all_its_runs(
    tmp_path: Path, ledger: Ledger
) -> None:
    async with serving(tmp_path, ledger.chain("a", "b", "c").compile()) as server:
        thread_id = await thread_with(server, owned("b", "mine", "state.log[-1] == 'a'"))
        for _ in "12":
            run = await server.start(INPUT, thread_id)
            assert run.waits == [("BREAKPOINT_BEFORE", "b")]
            (met,) = run.pauses[0].breakpoints
            assert (met.breakpoint_id, met.source) == ("mine", 2)
            run = await server.resume(thread_id)
            assert run.status == "SUCCEEDED"


async def test_a_run_drops_its_own_breakpoints_but_not_the_thread_s(
    tmp_path: Path, ledger: Ledger
) -> None:
    async with serving(tmp_path, ledger.chain("a", "b", "c").compile()) as server:
        thread_id = await thread_with(server, owned("c", "mine"))
        run = await server.start(INPUT, thread_id, breakpoints=(at("a"), at("b", "", "y")))
        assert run.waits == [("BREAKPOINT_BEFORE", "a")]
        run = await server.resume(thread_id, clear_breakpoints=True)
        assert run.waits == [("BREAKPOINT_BEFORE", "c")]
        found = await steering(server).breakpoints(run.run.run_id)
        assert [(each.breakpoint_id, each.source.value) for each in found] == [("mine", "THREAD")]


async def test_the_breakpoints_of_a_thread_can_t_be_removed_from_a_run(
    tmp_path: Path, ledger: Ledger
) -> None:
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        thread_id = await thread_with(server, owned("b", "mine"))
        run = await server.start(INPUT, thread_id)
        with pytest.raises(errors.BreakpointNotFoundError, match="is the thread's"):
            await steering(server).remove(run.run.run_id, ["mine"])
        with pytest.raises(errors.BreakpointExistsError):
            await steering(server).add(run.run.run_id, (at("a", "", "mine"),), key=None)
        with pytest.raises(errors.InvalidFieldError, match="the thread has a breakpoint 'mine'"):
            await server.resume(thread_id, breakpoints=(at("a", "", "mine"),))


async def test_ids_of_thread_and_run_are_counted_apart(tmp_path: Path, ledger: Ledger) -> None:
    """The thread may get a breakpoint with the id of one that the run has already."""
    async with serving(tmp_path, ledger.chain("a", "b", "c").compile()) as server:
        thread_id = await thread_with(server)
        breakpoints = (at("*", "", "x", skip_first=1),)
        run = await server.start(INPUT, thread_id, breakpoints=breakpoints)
        assert run.waits == [("BREAKPOINT_BEFORE", "b")]
        text = breakpoints_text([owned("c", "x", skip_first=1)])
        with closing(sqlite3.connect(tmp_path / "graphwire.db")) as database:
            database.execute("UPDATE gw_threads SET breakpoints = ?", (text,))
            database.commit()
        run = await server.resume(thread_id)
        # The run's own holds; the thread's has let nothing pass yet, and lets this one.
        assert run.waits == [("BREAKPOINT_BEFORE", "c")]
        assert [each.source for each in run.pauses[0].breakpoints] == [1]


async def test_a_condition_that_the_graph_has_no_place_for_any_more_holds(
    tmp_path: Path, ledger: Ledger
) -> None:
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        thread_id = await thread_with(server, owned("b", "old", "state.gone == 1"))
        run = await server.start(INPUT, thread_id)
        assert run.waits == [("BREAKPOINT_BEFORE", "b")]
        assert "'gone'" in run.pauses[0].breakpoints[0].condition_error
        assert (await server.resume(thread_id)).status == "SUCCEEDED"


async def test_a_fork_after_a_node_waits_there_again_under_a_star(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Names that are added up may have become one for all nodes."""
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        run = await server.start(INPUT, interrupt_after=("a",))
        checkpoint_id = run.pauses[0].checkpoint_id
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"
        begun = await server.begin(
            ResumeStart(), run.thread_id, checkpoint_id=checkpoint_id, interrupt_after=("*",)
        )
        assert (await server.end_of(begun)).waits == [("BREAKPOINT_AFTER", "a")]
        assert ledger == ["a", "b"]


async def test_a_fork_after_a_node_waits_there_again_if_the_run_still_has_the_breakpoint(
    tmp_path: Path, ledger: Ledger
) -> None:
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        stop = at("a", "state.log[-1] == 'a'", "x", after=True)
        run = await server.start(INPUT, breakpoints=(stop,))
        assert run.waits == [("BREAKPOINT_AFTER", "a")]
        checkpoint_id, thread_id = run.pauses[0].checkpoint_id, run.thread_id
        assert (await server.resume(thread_id)).status == "SUCCEEDED"
        begun = await server.begin(ResumeStart(), thread_id, checkpoint_id=checkpoint_id)
        assert (await server.end_of(begun)).waits == [("BREAKPOINT_AFTER", "a")]
        begun = await server.begin(
            ResumeStart(), thread_id, checkpoint_id=checkpoint_id, clear_breakpoints=True
        )
        assert (await server.end_of(begun)).status == "SUCCEEDED"


async def test_who_pauses_waits_for_nobody_in_a_node_that_is_tried_again(
    tmp_path: Path, ledger: Ledger
) -> None:
    """A node that fails and is tried again has begun, whatever was asked meanwhile."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def fail_once(state: Log) -> Log:
        if not go.is_set():
            begun.set()
            await go.wait()
            raise ConnectionError("again")
        ledger.append("tried")
        return {"log": ["tried"]}

    builder: Any = StateGraph(Log)
    policy = RetryPolicy(initial_interval=0.01, max_attempts=3)
    builder.add_node("tries", fail_once, retry_policy=policy)
    builder.add_node("next", ledger.node("next"))
    builder.add_edge(START, "tries")
    builder.add_edge("tries", "next")
    async with serving(tmp_path, builder.compile()) as server:
        run = await server.begin(InputStart(INPUT))
        await begun.wait()
        await steering(server).pause(run.run_id)
        go.set()
        assert (await server.end_of(run)).waits == [("PAUSE", "next")]
        assert ledger == ["tried"]


async def test_a_lost_lease_forgets_nothing_that_was_asked_of_a_run(
    tmp_path: Path, ledger: Ledger
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait(state: Log) -> Log:
        begun.set()
        await go.wait()
        return {"log": ["waited"]}

    async with serving(tmp_path, ledger.chain("w", "b", w=wait).compile()) as server:
        run = await server.begin(InputStart(INPUT))
        await begun.wait()
        await steering(server).add(run.run_id, (at("b"),), key=None)
        go.set()
        await server.lose_lease()
        assert (await server.end_of(run)).waits == [("BREAKPOINT_BEFORE", "b")]


async def test_what_another_breakpoint_holds_is_counted_though_a_drain_asks_nobody(
    tmp_path: Path, ledger: Ledger
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def turn(state: Log) -> Log:
        ledger.append("turn")
        begun.set()
        await go.wait()
        return {"log": ["turn"]}

    graph: Any = StateGraph(Log)
    graph.add_node("turn", turn)
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", lambda s: "turn" if len(s["log"]) < 3 else "__end__")
    stops = (
        at("turn", "state.log.size() == 1", "second"),
        at("turn", breakpoint_id="third", skip_first=2),
    )
    async with serving(tmp_path, graph.compile()) as server:
        run = await server.begin(InputStart(INPUT), breakpoints=stops)
        await begun.wait()
        draining = asyncio.create_task(server.executor.drain(5))
        while not server.executor.draining:
            await asyncio.sleep(0)
        go.set()
        await draining
        (pause,) = (await server.end_of(run)).pauses
        assert [met.breakpoint_id for met in pause.breakpoints] == ["second"]
    async with serving(tmp_path, graph.compile()) as server:
        (pause,) = (await server.resume(run.thread_id)).pauses
        assert [met.breakpoint_id for met in pause.breakpoints] == ["third"]
        assert ledger == ["turn", "turn"]


def judged(judge: Judge, *tasks: Task) -> list[list[str]]:
    """The ids of the breakpoints that hold tasks."""
    verdicts = [judge.before(task, FACTS) for task in tasks]
    return [[m.breakpoint.breakpoint_id for m in v.met] if v else [] for v in verdicts]


FACTS = Facts(lambda: {"log": ["x"]}, lambda: {"n": 1}, 1)


@pytest.fixture
def places(ledger: Ledger) -> Any:
    """What is known of a graph of `a` and `child` (which is `b`)."""
    child = ledger.chain("b").compile()
    return with_doors(ledger.chain("a", "child", child=child).compile()).places


def test_to_look_at_tasks_counts_nothing_but_each_after_the_other(places: Any) -> None:
    judge = Judge(places, [at("a", skip_first=1)])
    first, second = Task("1", "a", ()), Task("2", "a", ())
    for _ in "12":
        looks = judge.passing()
        found = [judge.before(task, FACTS, looks=looks) for task in (first, second)]
        assert [verdict is not None for verdict in found] == [False, True]
    assert judged(judge, second, first) == [[], ["x"]]


def test_a_step_has_one_budget_and_a_task_is_asked_once_of_it(places: Any) -> None:
    looked = []

    def state() -> dict[str, Any]:
        looked.append(1)
        return {"log": list(range(12_000))}

    facts = Facts(state, lambda: {"n": 1}, 1)
    tasks = [Task(str(n), "a", ()) for n in range(30)]
    judge = Judge(places, [at("a", "state.log.exists(each, each < 0)")])

    def held() -> list[str]:
        looks = judge.passing()
        return [t.task_id for t in tasks if judge.before(t, facts, looks=looks) is not None]

    without_turn = held()
    assert 0 < len(without_turn) < len(tasks)
    assert without_turn == [task.task_id for task in tasks][-len(without_turn) :]
    asked = len(looked)
    assert held() == without_turn
    assert [t.task_id for t in tasks if judge.before(t, facts) is not None] == without_turn
    assert len(looked) == asked
    # Another step, and one of a subgraph, have budgets of their own; that of a subgraph begins
    # anew with the next step above it, and its fan-out shares it.
    inner = Judge(places, [at("child/b", "state.log.exists(each, each < 0)")])
    for step in (1, 2):
        facts = Facts(state, lambda: {"n": 1}, step)
        tasks = [Task(f"{step}.{n}", "b", (f"child:{n}",)) for n in range(30)]
        held_inside = [t for t in tasks if inner.before(t, facts) is not None]
        assert held_inside == tasks[-len(without_turn) :]
        tasks = [Task(f"{step}.x{n}", "b", (f"child:x{n}",)) for n in range(30)]
        assert [t for t in tasks if inner.before(t, facts) is not None] == tasks
        inner.step_ended(("child:0",))
        inner.step_ended(())
        tasks = [Task(f"{step}.y{n}", "b", (f"child:y{n}",)) for n in range(30)]
        held_inside = [t for t in tasks if inner.before(t, facts) is not None]
        assert held_inside == tasks[-len(without_turn) :]


def test_a_step_frees_what_is_below_a_node_and_nothing_beside_it(places: Any) -> None:
    stepping = Stepping(frozenset({"1"}), (("child:1",),))
    judge = Judge(places, [], stepping=stepping)
    held = [
        judge.before(task, FACTS) is not None
        for task in (
            Task("1", "child", ()),
            Task("2", "b", ("child:1",)),
            Task("3", "b", ("child:9",)),
            Task("4", "a", ()),
        )
    ]
    assert held == [False, False, True, True]


async def test_what_a_command_sends_is_known_where_the_thread_stands(
    tmp_path: Path, ledger: Ledger
) -> None:
    """The position is asked alone when nothing at all can begin."""
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        run = await server.start(INPUT)
        breakpoints = (at("b", "task.input.n == 2 && state.log[-1] == 'update'"),)
        command = CommandStart(
            update=Given({"log": ["update"]}), goto=(("b", Given({"n": 1})), ("b", Given({"n": 2})))
        )
        begun = await server.begin(command, run.thread_id, breakpoints=breakpoints)
        run = await server.end_of(begun)
        assert run.waits == [("BREAKPOINT_BEFORE", "b")]
        await server.storage.write(
            lambda tx: tx.resolve_pause(run.pauses[0].pause_id, PauseStatus.CANCELLED, now=1)
        )
        run = await server.resume(run.thread_id)
        assert run.waits == [("BREAKPOINT_BEFORE", "b")]
        assert run.pauses[0].breakpoints[0].condition_error == ""
        assert ledger == ["a", "b"]
