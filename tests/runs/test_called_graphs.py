"""Graphs that the code of a node calls: the gate holds there too, wherever they come from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.runs.request import InputStart
from graphwire_server.storage.records import RunStatus
from langgraph.func import entrypoint, task
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
