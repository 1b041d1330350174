"""What a transaction finds that is not for the caller to see: a thread that was made anew by
somebody else since the call was let in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphwire import RunNotFoundError, ThreadNotFoundError
from graphwire_server.runs.batch import batch_started_earlier, fingerprint
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.idempotency import RequestKey
from graphwire_server.runs.request import InputStart, RunRequest
from graphwire_server.runs.thread_states import StateEdit
from graphwire_server.runs.threads import NewThread
from graphwire_server.storage.access import Access
from langgraph.graph import START, StateGraph

from tests.graphs.small import Log
from tests.runs.in_process import Services, serving

ADA = Caller(principal="ada", owner="ada", access=Access(owner="ada"))
BOB = Caller(principal="bob", owner="bob", access=Access(owner="bob"))
THREAD = "theirs"

_builder: Any = StateGraph(Log)
_builder.add_node("node", lambda state: {"log": ["node"]})
_builder.add_edge(START, "node")
GRAPH = _builder.compile()

CHANGES: dict[str, Callable[[Services], Awaitable[object]]] = {
    "update": lambda s: s.threads.update(THREAD, {"a": 1}, key=None, access=ADA.access),
    "delete": lambda s: s.threads.delete(THREAD, access=ADA.access),
    "edit": lambda s: s.states.edit(StateEdit(THREAD, {"log": []}, access=ADA.access), key=None),
    "copy": lambda s: s.threads.copy(THREAD, "", key=None, caller=ADA),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_thread_that_is_somebody_elses_by_now_is_not_changed(
    tmp_path: Path, change: str
) -> None:
    async with serving(tmp_path, GRAPH) as services:
        new = NewThread(THREAD, {"b": 2})
        made = await services.threads.create(new, return_existing=False, key=None, caller=BOB)
        with pytest.raises(ThreadNotFoundError):
            await CHANGES[change](services)
        assert await services.threads.get(THREAD) == made


async def test_a_request_id_answers_with_no_run_that_its_caller_may_not_see(tmp_path: Path) -> None:
    async with serving(tmp_path, GRAPH) as services:
        requests = [
            RunRequest(InputStart({"log": []}), assistant_id="g", keep_thread=True)
            for _ in range(2)
        ]
        first, second = await services.runs.start_all(
            requests, request_id="once", callers=[ADA, ADA]
        )
        again = await services.runs.start_all(requests, request_id="once", callers=[ADA, ADA])
        assert [run.run_id for run in again] == [first.run_id, second.run_id]
        # What he may do is said for each of them.
        elsewhere = replace(ADA, access=BOB.access)
        with pytest.raises(RunNotFoundError, match=second.run_id):
            await services.runs.start_all(requests, request_id="once", callers=[ADA, elsewhere])
        key = RequestKey("ada", "CreateRuns", "once", fingerprint(requests))
        # The transaction looks as well: the thread may have changed hands just before it.
        with pytest.raises(RunNotFoundError, match=first.run_id):
            await services.storage.write(
                lambda tx: batch_started_earlier(tx, key, [elsewhere, ADA])
            )
