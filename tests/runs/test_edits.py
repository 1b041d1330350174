"""Edits of a state while others change the thread."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.graphs.state import read_state
from graphwire_server.runs.thread_states import StateEdit

from tests.runs.in_process import DEADLINE, INPUT, Ledger, serving


async def test_an_edit_loses_nothing_that_a_run_did_which_left_the_head_as_it_was(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two branches one has finished meanwhile, and the other one failed."""
    tries = iter((True, False))

    async def two(state: Any) -> Any:
        if next(tries):
            raise ValueError("for once")
        return await ledger.node("two")(state)

    looked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **given: Any) -> Any:
        state = await read_state(*args, **given)
        looked.set()
        await go_on.wait()
        return state

    builder = ledger.beside(one=ledger.node("one"), two=two)
    graph = builder.compile(interrupt_before=["one", "two"])
    async with serving(tmp_path, graph) as server, asyncio.timeout(DEADLINE):
        ended = await server.start(INPUT)
        monkeypatch.setattr("graphwire_server.runs.thread_states.read_state", slow)
        edit = StateEdit(ended.thread_id, None, as_node="__end__")
        editing = asyncio.create_task(server.states.edit(edit, key=None))
        await looked.wait()
        failed = await server.resume(ended.thread_id)
        assert failed.status == "FAILED"
        go_on.set()
        view = await editing
    assert ledger == ["one"]
    assert view.state.values == '{"log":["one"]}'


async def test_of_edits_in_two_subgraphs_at_once_each_leaves_the_pause_of_the_other(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = (ledger.chain(f"{side}1", f"{side}2").compile() for side in "lr")
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **given: Any) -> Any:
        state = await read_state(*args, **given)
        if not looked.is_set():
            looked.set()
            await go_on.wait()
        return state

    graph = ledger.beside(left=left, right=right).compile()
    async with serving(tmp_path, graph) as server, asyncio.timeout(DEADLINE):
        ended = await server.start(INPUT, interrupt_before=("left/l2", "right/r2"))
        waits = [("BREAKPOINT_BEFORE", "left/l2"), ("BREAKPOINT_BEFORE", "right/r2")]
        assert sorted(ended.waits) == waits
        monkeypatch.setattr("graphwire_server.runs.thread_states.read_state", slow)
        first, second = (
            StateEdit(ended.thread_id, {"log": ["x"]}, namespace=tuple(pause.namespace))
            for pause in ended.pauses
        )
        editing = asyncio.create_task(server.states.edit(first, key=None))
        await looked.wait()
        await server.states.edit(second, key=None)
        go_on.set()
        await editing
        pauses = (await server.threads.get(ended.thread_id)).pauses
        assert sorted(pause.node for pause in pauses) == ["l2", "r2"]
        resumed = await server.resume(ended.thread_id)
    assert (resumed.status, sorted(ledger)) == ("SUCCEEDED", ["l1", "l2", "r1", "r2"])
