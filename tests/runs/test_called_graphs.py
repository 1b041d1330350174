"""Graphs that the code of a node calls: the gate holds there too, wherever they come from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.runs.request import InputStart
from graphwire_server.storage.records import RunStatus
from langgraph.errors import NodeError
from langgraph.func import entrypoint, task
from langgraph.graph import START
from langgraph.types import interrupt

from tests.graphs.small import Log
from tests.runs.in_process import INPUT, Ended, Ledger, Services, serving


async def ask(state: Log) -> Log:
    return {"log": [interrupt("sure?")]}


def calls(*found: Any) -> Any:
    """A node that calls graphs of which LangGraph can't know: they are in a list."""
    graphs = list(found)

    async def caller(state: Log) -> Log:
        for graph in graphs:
            await graph.ainvoke(INPUT)
        return {"log": ["called"]}

    return caller


async def answer(server: Services, run: Ended) -> Ended:
    """Answers the one question that a run has left."""
    (question,) = (pause for pause in run.pauses if pause.interrupt_id)
    return await server.resume(run.thread_id, (question.pause_id, "yes"))


@pytest.mark.parametrize("stop", ["before", "after"])
async def test_another_branch_s_answer_releases_nothing_in_it(
    tmp_path: Path, ledger: Ledger, stop: str
) -> None:
    lists = {"interrupt_before": ["danger"]} if stop == "before" else {"interrupt_after": ["a"]}
    graph = ledger.chain("a", "danger").compile(**lists)
    waits = {
        "before": ("BREAKPOINT_BEFORE", "caller/danger"),
        "after": ("BREAKPOINT_AFTER", "caller/a"),
    }[stop]
    async with serving(tmp_path, ledger.beside(ask=ask, caller=calls(graph)).compile()) as server:
        run = await server.start(INPUT)
        assert run.waits == [("INTERRUPT", "ask"), waits]
        (kept,) = (pause.pause_id for pause in run.pauses if not pause.interrupt_id)
        run = await answer(server, run)
        assert [pause.pause_id for pause in run.pauses] == [kept]
        assert ledger == ["a"]
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"
        assert ledger == ["a", "danger"]


async def test_each_call_of_it_waits_for_its_own_approval(tmp_path: Path, ledger: Ledger) -> None:
    graph = ledger.chain("a", "danger").compile(interrupt_before=["danger"])
    async with serving(tmp_path, ledger.chain("caller", caller=calls(graph, graph)).compile()) as s:
        run = await s.start(INPUT)
        assert (run.waits, ledger) == ([("BREAKPOINT_BEFORE", "caller/danger")], ["a"])
        run = await s.resume(run.thread_id)
        assert run.waits == [("BREAKPOINT_BEFORE", "caller/1/danger")]
        assert ledger == ["a", "danger", "a"]
        assert (await s.resume(run.thread_id)).status == "SUCCEEDED"
        assert ledger == ["a", "danger", "a", "danger"]


async def test_an_answer_that_was_taken_is_no_answer_to_the_next_question(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Of a graph that nobody can find, the state does not say that its question was answered."""
    failed = False

    async def two(state: Log) -> Log:
        nonlocal failed
        first = interrupt("first?")
        if not failed:
            failed = True
            raise RuntimeError("for once")
        second = interrupt("second?")
        ledger.extend((first, second))
        return {"log": []}

    graph = ledger.chain("two", two=two).compile()
    async with serving(tmp_path, ledger.chain("caller", caller=calls(graph)).compile()) as server:
        run = await server.start(INPUT)
        run = await server.resume(run.thread_id, (run.pauses[0].pause_id, "to first?"))
        assert run.error == "RuntimeError"
        while run.status != "SUCCEEDED":
            view = await server.threads.get(run.thread_id)
            answers = [(p.pause_id, f"to {json.loads(p.value or '')}") for p in view.pauses]
            run = await server.resume(run.thread_id, *answers)
        assert ledger == ["to first?", "to second?"]


async def drained_while(server: Services, begun: asyncio.Event, go_on: asyncio.Event) -> Any:
    """Drains the server while a node waits; returns how its run is left."""
    run = await server.begin(InputStart(INPUT))
    await begun.wait()
    draining = asyncio.create_task(server.executor.drain(5))
    while not server.executor.draining:
        await asyncio.sleep(0)
    go_on.set()
    await draining
    kept = await server.storage.read(lambda db: db.run(run.run_id))
    assert kept is not None
    return kept.status


async def test_a_drain_is_no_failure_of_a_graph_that_is_called(
    tmp_path: Path, ledger: Ledger
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    graph = ledger.chain("a", "b").compile()

    async def caller(state: Log) -> Log:
        begun.set()
        await go_on.wait()
        try:
            await graph.ainvoke(INPUT)
        except Exception:  # noqa: BLE001  # what many a node does
            ledger.append("made do without")
        return {"log": []}

    async with serving(tmp_path, ledger.chain("caller", caller=caller).compile()) as server:
        assert await drained_while(server, begun, go_on) is RunStatus.SUCCEEDED
        assert ledger == ["a", "b"]


async def test_a_drain_is_no_failure_of_a_task_that_is_called(
    tmp_path: Path, ledger: Ledger
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @task
    async def charge() -> None:
        ledger.append("charge")

    @entrypoint()
    async def flow(value: Any) -> str:
        begun.set()
        await go_on.wait()
        try:
            await charge()
        except Exception:  # noqa: BLE001  # what many a node does
            ledger.append("refund")
        return "done"

    async with serving(tmp_path, flow) as server:
        assert await drained_while(server, begun, go_on) is RunStatus.SUCCEEDED
        assert ledger == ["charge"]


async def resumed(server: Services, run: Ended) -> list[list[tuple[str, str]]]:
    """Answers and approves what a thread waits for, one by one; returns what it waited for."""
    waited: list[list[tuple[str, str]]] = []
    while run.status == "INTERRUPTED":
        waited.append(run.waits)
        assert len(waited) < 20
        first = run.pauses[0]
        if first.interrupt_id:
            answer = first.pause_id, f"to {json.loads(first.value.json)}"
            run = await server.resume(run.thread_id, answer)
        else:
            run = await server.resume(run.thread_id, pause_ids=(first.pause_id,))
    assert (run.status, run.error) == ("SUCCEEDED", "")
    return waited


@pytest.mark.parametrize("at_once", [True, False])
async def test_each_of_several_calls_asks_and_stops_and_is_resumed(
    tmp_path: Path, ledger: Ledger, at_once: bool
) -> None:
    async def asks(state: Log) -> Log:
        ledger.append(interrupt(state["log"][0]))
        return {"log": []}

    graph = ledger.chain("asks", "danger", asks=asks).compile(interrupt_before=["danger"])

    async def caller(state: Log) -> Log:
        inputs: list[Any] = [{"log": [name]} for name in ("x", "y", "z")]
        if at_once:
            await asyncio.gather(*(graph.ainvoke(given) for given in inputs))
        else:
            for given in inputs:
                await graph.ainvoke(given)
        return {"log": []}

    root = ledger.chain("caller", "after", caller=caller).compile()
    async with serving(tmp_path, root) as server:
        waited = await resumed(server, await server.start(INPUT))
        assert all(waits for waits in waited)
        assert len(waited) == 6
        assert [name for name in ledger if name.startswith("to")] == ["to x", "to y", "to z"]
        assert ledger.count("danger") == 3
        assert ledger[-1] == "after"


async def test_a_handler_of_errors_asks_and_is_answered(tmp_path: Path, ledger: Ledger) -> None:
    async def handles(state: Log, error: NodeError) -> Log:
        ledger.append(interrupt("first?"))
        ledger.append(interrupt("second?"))
        return {"log": [error.node]}

    async def bad(state: Log) -> Log:
        ledger.append("bad")
        raise ValueError("handle this")

    builder = ledger.beside(ask=ask)
    builder.add_node("bad", bad, error_handler=handles)
    builder.add_edge(START, "bad")
    async with serving(tmp_path, builder.compile()) as server:
        run = await server.start(INPUT)
        assert sorted(run.waits) == [("INTERRUPT", "__error_handler__bad"), ("INTERRUPT", "ask")]
        (kept,) = (pause.pause_id for pause in run.pauses if pause.node != "ask")
        # Another branch's answer does not answer it, and a breakpoint comes too late for it.
        (asked,) = (pause.pause_id for pause in run.pauses if pause.node == "ask")
        run = await server.resume(run.thread_id, (asked, "yes"), interrupt_before=("*",))
        assert [pause.pause_id for pause in run.pauses] == [kept]
        waited = await resumed(server, run)
        assert waited == [[("INTERRUPT", "__error_handler__bad")]] * 2
        assert ledger == ["bad", "to first?", "to first?", "to second?"]


@pytest.mark.parametrize("node", ["is it", "calls it", "calls what nobody can find"])
async def test_a_graph_without_checkpoints_is_answered_question_by_question(
    tmp_path: Path, ledger: Ledger, node: str
) -> None:
    async def two(state: Log) -> Log:
        return {"log": [interrupt("first?"), interrupt("second?")]}

    async def third(state: Log) -> Log:
        ledger.append(interrupt("third?"))
        ledger.extend(state["log"])
        return {"log": []}

    graph = ledger.chain("two", "third", two=two, third=third).compile(checkpointer=False)

    async def caller(state: Log) -> Log:
        await graph.ainvoke(state)
        return {"log": []}

    nodes = {"is it": graph, "calls it": caller, "calls what nobody can find": calls(graph)}
    root = ledger.chain("node", "after", node=nodes[node]).compile()
    async with serving(tmp_path, root) as server:
        assert len(await resumed(server, await server.start(INPUT))) == 3
        assert ledger == ["to third?", "to first?", "to second?", "after"]


async def test_questions_side_by_side_in_a_graph_without_checkpoints_keep_their_answers(
    tmp_path: Path, ledger: Ledger
) -> None:
    def asks(question: str) -> Any:
        async def node(state: Log) -> Log:
            return {"log": [interrupt(question)]}

        return node

    graph = ledger.beside(a=asks("a?"), b=asks("b?")).compile(checkpointer=False)

    async def after(state: Log) -> Log:
        ledger.extend(state["log"])
        return {"log": []}

    root = ledger.chain("child", "after", child=graph, after=after).compile()
    async with serving(tmp_path, root) as server:
        run = await server.start(INPUT)
        # The engine may stop when one of them has asked.
        while run.status == "INTERRUPTED":
            pause = run.pauses[-1]
            answer = json.loads(pause.value.json).upper()
            run = await server.resume(run.thread_id, (pause.pause_id, answer))
        assert ledger == ["A?", "B?"]


async def test_what_failed_with_its_answer_is_asked_again(tmp_path: Path, ledger: Ledger) -> None:
    failed = False

    async def asks(state: Log) -> Log:
        nonlocal failed
        answer = interrupt("sure?")
        if not failed:
            failed = True
            raise RuntimeError("for once")
        ledger.append(answer)
        return {"log": []}

    graph = ledger.chain("asks", asks=asks).compile(checkpointer=False)
    async with serving(tmp_path, ledger.chain("child", child=graph).compile()) as server:
        run = await server.start(INPUT)
        run = await server.resume(run.thread_id, (run.pauses[0].pause_id, "no"))
        assert run.error == "RuntimeError"
        (pause,) = (await server.threads.get(run.thread_id)).pauses
        run = await server.resume(run.thread_id, (pause.pause_id, "yes"))
        assert (run.status, ledger) == ("SUCCEEDED", ["yes"])


async def test_a_graph_without_checkpoints_that_is_called_is_approved_before_a_node(
    tmp_path: Path, ledger: Ledger
) -> None:
    graph = ledger.chain("a", "danger").compile(checkpointer=False, interrupt_before=["danger"])
    async with serving(tmp_path, ledger.chain("caller", caller=calls(graph)).compile()) as server:
        waited = await resumed(server, await server.start(INPUT))
        assert waited == [[("BREAKPOINT_BEFORE", "caller/danger")]]
        assert ledger == ["a", "a", "danger"]


async def test_what_would_stop_there_again_fails_and_passes_nothing(
    tmp_path: Path, ledger: Ledger
) -> None:
    graph = ledger.chain("a", "danger").compile(checkpointer=False, interrupt_after=["a"])
    async with serving(tmp_path, ledger.chain("caller", caller=calls(graph)).compile()) as server:
        run = await server.start(INPUT)
        assert run.waits == [("BREAKPOINT_AFTER", "caller/a")]
        run = await server.resume(run.thread_id)
        failure = run.events[-1].end.error
        assert (run.status, failure.type, failure.node) == ("FAILED", "UnresumablePause", "caller")
        assert "checkpointer=False" in failure.message
        assert "danger" not in ledger


async def test_a_graph_with_a_memory_that_is_called_begins_anew_in_each_step(
    tmp_path: Path, ledger: Ledger
) -> None:
    """The engine, told to go on, would go on in it from where the run before has left it."""
    graph = ledger.chain("a", "danger").compile(checkpointer=True, interrupt_before=["danger"])

    async def caller(state: Log) -> Log:
        result = await graph.ainvoke({"log": ["given"]})
        ledger.append(" ".join(result["log"]))
        return {"log": []}

    root = ledger.chain("caller", caller=caller).compile()
    async with serving(tmp_path, root) as server:
        thread_id = ""
        for _ in range(2):
            run = await server.start(INPUT, thread_id, interrupt_before=("caller",))
            thread_id = run.thread_id
            assert await resumed(server, run) == [
                [("BREAKPOINT_BEFORE", "caller")],
                [("BREAKPOINT_BEFORE", "caller/danger")],
            ]
        once = ["a", "danger"]
        assert ledger == [*once, "given a danger", *once, "given a danger given a danger"]
