"""A SQLite file that can't grow for a while."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphwire_server.runs import attempt
from graphwire_server.runs.caller import SERVER
from graphwire_server.runs.request import InputStart
from graphwire_server.runs.threads import NewThread
from graphwire_server.storage.interface import StorageUnavailable, Transaction
from langgraph.graph import START, StateGraph

from tests.graphs.small import Log
from tests.runs.in_process import serving

#: More than is free within a file, also when it is compressed.
LARGE = random.Random(1).randbytes(500_000).hex()


def allow(tx: Transaction, pages: str) -> None:
    """Lets the file have so many pages; it never has fewer than it uses."""
    cast(Any, tx)._execute(f"PRAGMA max_page_count = {pages}", ())


async def test_a_run_goes_on_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, interrupted, room = 0, asyncio.Event(), asyncio.Event()

    def told(event: str, **fields: object) -> None:
        # The first where something that the run made was not kept, the second where its end was.
        if event in ("run_interrupted_by_database", "run_end_not_recorded"):
            interrupted.set()

    log = SimpleNamespace(warning=told, info=told, error=told, exception=told)
    monkeypatch.setattr(attempt, "_log", log)

    async def node(state: Log) -> Log:
        nonlocal calls
        calls += 1
        if calls == 1:
            await services.storage.write(lambda tx: allow(tx, "1"))
            with pytest.raises(StorageUnavailable, match="database or disk is full"):
                await services.threads.create(
                    NewThread("t", {"large": LARGE}), return_existing=False, key=None, caller=SERVER
                )
        else:
            await room.wait()
        return {"log": [LARGE]}

    builder: Any = StateGraph(Log)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    async with serving(tmp_path, builder.compile()) as services:
        run = await services.begin(InputStart({"log": []}))
        async with asyncio.timeout(30):
            await interrupted.wait()
        await services.storage.write(lambda tx: allow(tx, "1000000"))
        room.set()
        ended = await services.end_of(run)
    assert (ended.status, ended.error) == ("SUCCEEDED", "")
