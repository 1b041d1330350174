"""Edits of a state while others change the thread."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.graphs.state import read_state
from graphwire_server.runs.threads import StateEdit

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
        monkeypatch.setattr("graphwire_server.runs.threads.read_state", slow)
        edit = StateEdit(ended.thread_id, None, as_node="__end__")
        editing = asyncio.create_task(server.threads.edit(edit, key=None))
        await looked.wait()
        failed = await server.resume(ended.thread_id)
        assert failed.status == "FAILED"
        go_on.set()
        view = await editing
    assert ledger == ["one"]
    assert view.state.values == '{"log":["one"]}'
