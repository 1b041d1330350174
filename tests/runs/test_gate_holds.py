"""The gate holds where the engine itself would not stop, or would not say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graphwire import errors
from graphwire_server.runs.request import CommandStart, Given, InputStart, ResumeStart
from langgraph.cache.memory import InMemoryCache
from langgraph.channels import EphemeralValue, LastValue
from langgraph.graph import START, StateGraph
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.types import CachePolicy, interrupt

from tests.graphs.small import Log
from tests.runs.in_process import INPUT, Ledger, Services, serving


async def test_a_tag_does_not_hide_nodes_from_breakpoints(tmp_path: Path, ledger: Ledger) -> None:
    async with serving(tmp_path, ledger.chain("a", "danger").compile()) as server:
        with pytest.raises(errors.InvalidFieldError, match=r"config\.tags"):
            await server.start(INPUT, interrupt_before=("danger",), tags=("langsmith:hidden",))
        assert ledger == []


async def test_a_graph_s_own_tag_does_not_either(tmp_path: Path, ledger: Ledger) -> None:
    graph = ledger.chain("a", "danger").compile().with_config(tags=["langsmith:hidden"])
    async with serving(tmp_path, graph) as server:
        run = await server.start(INPUT, interrupt_before=("danger",), interrupt_after=("a",))
        assert run.waits == [("BREAKPOINT_AFTER", "a"), ("BREAKPOINT_BEFORE", "danger")]
        assert ledger == ["a"]


async def test_a_subgraph_may_be_called_like_a_number(tmp_path: Path, ledger: Ledger) -> None:
    child = ledger.chain("a", "danger").compile(interrupt_before=["danger"])
    graph = ledger.chain("1", **{"1": child}).compile()
    async with serving(tmp_path, graph) as server:
        run = await server.start(INPUT)
        assert run.waits == [("BREAKPOINT_BEFORE", "1/danger")]
        assert ledger == ["a"]
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"


async def test_a_node_that_only_writes_waits_for_its_own_approval(tmp_path: Path) -> None:
    async def ask(value: str) -> Any:
        return interrupt("sure?")

    graph: Any = Pregel(
        nodes={
            "ask": NodeBuilder().subscribe_only("in").do(ask).write_to("asked"),
            "copy": NodeBuilder().subscribe_only("in").write_to("copied"),
        },
        channels={
            "in": EphemeralValue(str),
            "asked": LastValue(str),
            "copied": LastValue(str),
        },
        input_channels="in",
        output_channels=["asked", "copied"],
    )
    async with serving(tmp_path, graph) as server:
        run = await server.start("x", interrupt_before=("ask", "copy"))
        approved = [pause.pause_id for pause in run.pauses if pause.node == "ask"]
        run = await server.resume(run.thread_id, pause_ids=approved)
        assert sorted(run.waits) == [("BREAKPOINT_BEFORE", "copy"), ("INTERRUPT", "ask")]
        assert run.told("updates") == []


async def test_a_cached_subgraph_is_not_taken_from_the_cache(
    tmp_path: Path, ledger: Ledger
) -> None:
    child = ledger.chain("danger").compile(interrupt_before=["danger"])
    builder: Any = StateGraph(Log)
    builder.add_node("child", child, cache_policy=CachePolicy())
    builder.add_edge(START, "child")
    async with serving(tmp_path, builder.compile(cache=InMemoryCache())) as server:
        first = await server.start(INPUT)
        assert (await server.resume(first.thread_id)).status == "SUCCEEDED"
        assert (await server.start(INPUT)).waits == [("BREAKPOINT_BEFORE", "child/danger")]


async def test_a_fork_waits_after_a_node_again(tmp_path: Path, ledger: Ledger) -> None:
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        run = await server.start(INPUT, interrupt_after=("a",))
        checkpoint_id = run.pauses[0].checkpoint_id
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"
        fork = ResumeStart()
        begun = await server.begin(fork, run.thread_id, checkpoint_id=checkpoint_id)
        assert (await server.end_of(begun)).waits == [("BREAKPOINT_AFTER", "a")]
        assert ledger == ["a", "b"]
        assert (await server.resume(run.thread_id)).status == "SUCCEEDED"
        assert ledger == ["a", "b", "b"]


async def test_an_error_handler_takes_no_breakpoint(tmp_path: Path, ledger: Ledger) -> None:
    builder: Any = StateGraph(Log)
    builder.add_node("bad", ledger.node("bad"), error_handler=ledger.node("handler"))
    builder.add_edge(START, "bad")
    async with serving(tmp_path, builder.compile()) as server:
        with pytest.raises(errors.UnknownNodeError):
            await server.start(INPUT, interrupt_before=("__error_handler__bad",))


async def test_a_command_s_update_starts_a_thread_once(tmp_path: Path, ledger: Ledger) -> None:
    """LangGraph takes the command for input as well, and applies it twice."""
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        command = CommandStart(update=Given({"log": ["update"]}))
        run = await server.end_of(await server.begin(command, stream_modes=("VALUES",)))
        assert run.told("values")[-1] == {"log": ["update", "a", "b"]}


async def test_a_command_goes_nowhere_from_no_state(tmp_path: Path, ledger: Ledger) -> None:
    async with serving(tmp_path, ledger.chain("a", "b").compile()) as server:
        command = CommandStart(update=Given({"log": ["update"]}), goto=(("b", None),))
        with pytest.raises(errors.NothingToResumeError):
            await server.begin(command)
        assert ledger == []


async def approve_all(server: Services, thread_id: str) -> list[list[tuple[str, str]]]:
    """Resumes a thread until it waits for nothing; returns what it waited for on the way."""
    waited: list[list[tuple[str, str]]] = []
    while True:
        run = await server.resume(thread_id)
        if run.status != "INTERRUPTED":
            assert run.status == "SUCCEEDED"
            return waited
        waited.append(run.waits)
        assert len(waited) < 5


async def test_a_subgraph_with_a_memory_begins_anew_in_each_step(
    tmp_path: Path, ledger: Ledger
) -> None:
    """The engine, told to go on, would go on in it from where the run before has left it."""
    child = ledger.chain("a", "b").compile(checkpointer=True)
    async with serving(tmp_path, ledger.chain("child", child=child).compile()) as server:
        run = await server.start(INPUT, interrupt_before=("child",))
        assert await approve_all(server, run.thread_id) == []
        await server.start(INPUT, run.thread_id, interrupt_before=("child",))
        assert await approve_all(server, run.thread_id) == []
        assert ledger == ["a", "b", "a", "b"]


async def test_a_subgraph_with_a_memory_forgets_a_pause_that_was_given_up(
    tmp_path: Path, ledger: Ledger
) -> None:
    child = ledger.chain("a", "danger").compile(checkpointer=True, interrupt_before=["danger"])
    async with serving(tmp_path, ledger.chain("child", child=child).compile()) as server:
        run = await server.start(INPUT, interrupt_before=("child",))
        run = await server.resume(run.thread_id)
        assert run.waits == [("BREAKPOINT_BEFORE", "child/danger")]
        gates = {"interrupt_before": ("child",), "discard_pause": True}
        await server.start(INPUT, run.thread_id, **gates)
        waited = await approve_all(server, run.thread_id)
        assert waited == [[("BREAKPOINT_BEFORE", "child/danger")]]
        assert ledger == ["a", "a", "danger"]


async def test_a_subgraph_with_a_memory_begins_anew_when_a_run_is_recovered(
    tmp_path: Path, ledger: Ledger
) -> None:
    waiting, slow = asyncio.Event(), False

    async def first(state: Log) -> Log:
        nonlocal slow
        if slow:
            slow = False
            waiting.set()
            await asyncio.Event().wait()
        return {"log": ["first"]}

    child = ledger.chain("inside").compile(checkpointer=True)
    graph = ledger.chain("first", "child", first=first, child=child).compile()
    async with serving(tmp_path, graph) as server:
        thread_id = (await server.start(INPUT)).thread_id
        slow = True
        run = await server.begin(InputStart(INPUT), thread_id)
        await waiting.wait()
        await server.lose_lease()
        assert (await server.end_of(run)).status == "SUCCEEDED"
        assert ledger == ["inside", "inside"]
