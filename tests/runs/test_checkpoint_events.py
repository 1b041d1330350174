"""What tells of a checkpoint waits for it, and what is pruned meanwhile is not missed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.graphs.state import read_history
from graphwire_server.runs.journal import Journal

from tests.runs.in_process import Ledger, serving


async def test_each_checkpoint_is_promised_before_it_is_told_or_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So the event can wait for it, whatever is being committed in that moment.
    seen: list[tuple[str, str]] = []
    promised, append, put = Journal.promised, Journal.append, Journal.put_checkpoint

    def noting_promised(self: Journal, checkpoint_id: str) -> None:
        seen.append(("promised", checkpoint_id))
        promised(self, checkpoint_id)

    def noting_append(self: Journal, event: pb.RunEvent) -> None:
        if event.HasField("checkpoint"):
            seen.append(("told", event.checkpoint.checkpoint_id))
        append(self, event)

    def noting_put(self: Journal, record: Any, values: Any) -> Any:
        seen.append(("put", record.checkpoint_id))
        return put(self, record, values)

    monkeypatch.setattr(Journal, "promised", noting_promised)
    monkeypatch.setattr(Journal, "append", noting_append)
    monkeypatch.setattr(Journal, "put_checkpoint", noting_put)
    graph = Ledger().chain("a", "b").compile()
    async with serving(tmp_path, graph) as server:
        run = await server.start({"log": []}, stream_modes=("CHECKPOINTS",))
        told = [event.checkpoint.checkpoint_id for event in run.events if event.checkpoint.step]
    assert run.status == "SUCCEEDED"
    # The input's, its step's, and one for each node.
    ids = list(dict.fromkeys(checkpoint_id for _, checkpoint_id in seen))
    assert len(ids) == 4
    assert set(told) <= set(ids)
    orders = [[kind for kind, which in seen if which == checkpoint_id] for checkpoint_id in ids]
    # The engine tells of some before it puts them, of some afterwards.
    assert orders[0] == ["promised", "told", "put"]
    assert all(order[0] == "promised" and sorted(order[1:]) == ["put", "told"] for order in orders)


async def test_history_passes_over_what_is_pruned_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_one_that_goes(graph: Any, thread_id: str, ids: Sequence[str], **given: Any) -> Any:
        newest, *older = ids
        and_one = [newest, "1f000000-0000-6000-8000-000000000000", *older]
        return read_history(graph, thread_id, and_one, **given)

    async with serving(tmp_path, Ledger().chain("a", "b").compile()) as server:
        run = await server.start({"log": []})
        history = partial(server.states.history, run.thread_id, limit=9, most_bytes=10**6)
        whole = (await history()).items
        monkeypatch.setattr("graphwire_server.runs.thread_states.read_history", with_one_that_goes)
        again = (await history()).items
    assert len(whole) == 4
    assert [view.state.checkpoint_id for view in again] == [
        view.state.checkpoint_id for view in whole
    ]
