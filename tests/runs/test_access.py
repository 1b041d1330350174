"""What a transaction finds that is not for the caller to see: a thread that was made anew by
somebody else since the call was let in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from graphwire import ThreadNotFoundError
from graphwire_server.runs.caller import Caller
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
