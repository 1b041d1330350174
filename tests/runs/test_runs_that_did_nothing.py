"""Runs that end before anything of them is kept: what goes on does so from the run before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from graphwire_server.runs.execution import Outcome, RunExecution
from graphwire_server.runs.request import InputStart

from tests.runs.in_process import DEADLINE, INPUT, Ledger, serving


@pytest.mark.parametrize("deleted", [False, True])
async def test_breakpoints_hold_where_new_input_was_cancelled_before_it_was_taken_in(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, deleted: bool
) -> None:
    async def opens_slowly(self: RunExecution) -> Outcome:
        await asyncio.sleep(DEADLINE)
        raise AssertionError

    graph = ledger.chain("a", "b", "c").compile()
    async with serving(tmp_path, graph) as server:
        paused = await server.start(INPUT, interrupt_before=("b", "c"))
        with monkeypatch.context() as patched:
            patched.setattr(RunExecution, "_execute", opens_slowly)
            other = await server.begin(InputStart(INPUT), paused.thread_id, discard_pause=True)
            await server.runs.cancel(other.run_id)
            assert (await server.end_of(other)).status == "CANCELLED"
        for run in (paused.run, other) if deleted else ():
            await server.runs.delete(run.run_id)
        again = await server.resume(paused.thread_id)
        assert again.waits == [("BREAKPOINT_BEFORE", "b")]
        assert ledger == ["a"]
