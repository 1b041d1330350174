"""Every event is told once, as it was; every run ends; what failed has no result."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from graphwire_server.runs.ending import end_run
from graphwire_server.runs.events import Sealer
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.request import InputStart
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import RunRecord, RunStatus
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tests.graphs.small import Log
from tests.runs.in_process import INPUT, Ledger, serving


async def ask(state: Log) -> Log:
    return {"log": [interrupt("sure?")]}


async def test_what_a_thread_writes_is_told_as_it_was(tmp_path: Path, ledger: Ledger) -> None:
    def counts(state: Log) -> Log:
        writer, progress = get_stream_writer(), {"at": 0}
        for number in range(2000):
            progress["at"] = number
            writer(progress)
        return {"log": []}

    async with serving(tmp_path, ledger.chain("counts", counts=counts).compile()) as server:
        run = await server.start(INPUT, stream_modes=("CUSTOM",))
        assert run.told("custom") == [{"at": number} for number in range(2000)]


async def test_a_subgraph_that_can_not_be_kept_holds_up_nobody(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Its values wait for a checkpoint that never comes, and an error handler goes on."""

    async def unkept(state: Log) -> Any:
        return {"path": threading.Lock()}

    builder: Any = StateGraph(Log)
    child = ledger.chain("unkept", unkept=unkept).compile()
    builder.add_node("child", child, error_handler=ledger.node("handler"))
    builder.add_edge(START, "child")
    async with serving(tmp_path, builder.compile()) as server:
        modes = ("VALUES", "UPDATES")
        run = await server.start(INPUT, stream_modes=modes, stream_subgraphs=True)
        assert (run.status, ledger) == ("SUCCEEDED", ["handler"])


async def test_a_task_that_fails_after_it_has_written_has_no_result(
    tmp_path: Path, ledger: Ledger
) -> None:
    """The choice of the next node is made after the node's own writes."""
    failed = False

    def following(state: Log) -> str:
        nonlocal failed
        if not failed:
            failed = True
            raise RuntimeError("for once")
        return "last"

    builder: Any = StateGraph(Log)
    builder.add_node("first", ledger.node("first"))
    builder.add_node("last", ledger.node("last"))
    builder.add_edge(START, "first")
    builder.add_conditional_edges("first", following, ["last"])
    async with serving(tmp_path, builder.compile()) as server:
        run = await server.start(INPUT)
        assert (run.error, run.told("updates")) == ("RuntimeError", [])
        run = await server.resume(run.thread_id)
        assert run.told("updates") == [("first", {"log": ["first"]}), ("last", {"log": ["last"]})]
        assert ledger == ["first", "first", "last"]


async def test_an_error_handler_that_has_finished_does_not_run_again(
    tmp_path: Path, ledger: Ledger
) -> None:
    async def fails(state: Log) -> Log:
        ledger.append("fails")
        raise RuntimeError("always")

    builder: Any = StateGraph(Log)
    builder.add_node("fails", fails, error_handler=ledger.node("handler"))
    builder.add_node("ask", ask)
    builder.add_edge(START, "fails")
    builder.add_edge(START, "ask")
    async with serving(tmp_path, builder.compile()) as server:
        run = await server.start(INPUT)
        assert run.waits == [("INTERRUPT", "ask")]
        answer = (run.pauses[0].pause_id, "yes")
        run = await server.resume(run.thread_id, answer, stream_modes=("VALUES",))
        assert sorted(run.told("values")[-1]["log"]) == ["handler", "yes"]
        assert ledger == ["fails", "handler"]


async def test_an_attempt_that_ends_late_leaves_the_next_one_alone(
    tmp_path: Path, ledger: Ledger
) -> None:
    begun: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]
    cleaned_up, attempts = asyncio.Event(), iter(begun)

    async def slow(state: Log) -> Log:
        first = (event := next(attempts)) is begun[0]
        event.set()
        try:
            await asyncio.Event().wait()
        finally:
            if first:
                await cleaned_up.wait()
        return {"log": []}

    async with serving(tmp_path, ledger.chain("slow", slow=slow).compile()) as server:
        run = await server.begin(InputStart(INPUT))
        await begun[0].wait()
        (late,) = (t for t in asyncio.all_tasks() if t.get_name() == f"run {run.run_id}")
        await server.lose_lease()
        await begun[1].wait()
        cleaned_up.set()
        await asyncio.wait([late])
        await server.runs.cancel(run.run_id)
        assert (await server.end_of(run)).status == "CANCELLED"


async def test_readers_follow_a_run_to_another_server(tmp_path: Path, ledger: Ledger) -> None:
    begun = asyncio.Event()

    async def slow(state: Log) -> Log:
        get_stream_writer()("here")
        begun.set()
        await asyncio.Event().wait()
        return {"log": []}

    async with serving(tmp_path, ledger.chain("slow", slow=slow).compile()) as server:
        run = await server.begin(InputStart(INPUT), stream_modes=("CUSTOM",))
        events = server.log.follow(run.run_id, after=0)
        seen = [(await anext(events)), (await anext(events))]
        assert [record and record.sequence for record in seen] == [1, 2]

        def take(tx: Transaction) -> RunRecord:
            tx.leave_servers(server.membership.server_id)
            tx.join_servers("another", ttl=60_000_000)
            return tx.claim_lost("another", limit=1)[0].run

        taken = await server.storage.write(take)
        (supervisor,) = (t for t in asyncio.all_tasks() if t.get_name() == f"run {run.run_id}")
        server.executor._drop_all()
        await asyncio.wait([supervisor])
        ended = Outcome(RunStatus.CANCELLED)
        await server.storage.write(lambda tx: end_run(tx, taken, ended, Sealer(taken)))
        async with asyncio.timeout(5):
            rest = [record.sequence async for record in events if record is not None]
        assert rest == [3]
