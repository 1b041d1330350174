"""Threads that runs make, where a project's rules are about runs alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from graphwire.v1 import run_pb2

from tests.access.guarded import PROJECT, Guest
from tests.e2e.drive import payload, value
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def runs_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a project that has a handler for `create_run`, and none for `create`."""
    folder = tmp_path_factory.mktemp("runs-only")
    process = ServerProcess(folder / "graphwire.db", PROJECT / "runs_only.json").start()
    yield process
    assert process.stop() == 0, process.log


@pytest.mark.parametrize("name", ["ada", "strict"])
@pytest.mark.parametrize("given", [{"owner": "me", "n": 1}, {"owner": "eve"}, {}])
def test_a_thread_has_what_its_first_run_has(
    runs_only: ServerProcess, name: str, given: dict[str, Any]
) -> None:
    """Also where the caller has sent what the handler writes, or only looks for."""
    metadata = {**given, **({"owner": name} if given.get("owner") == "me" else {})}
    thread_id = f"t-{uuid.uuid4()}"
    start: dict[str, Any] = {
        "thread_id": thread_id,
        "assistant_id": "two",
        "input": payload({"log": []}),
        "metadata": payload(metadata),
        "if_not_exists": run_pb2.IF_NOT_EXISTS_CREATE,
    }
    with closing(Guest(runs_only, name)) as me, closing(Guest(runs_only, "eve")) as eve:
        if name == "strict" and metadata.get("owner") != name:
            assert me.refusal("StreamRun", **start)[::2] == (
                "PERMISSION_DENIED",
                "mark it as yours",
            )
            assert eve.call("CountThreads", filter={"thread_ids": [thread_id]}).count == 0
            return
        me.call("StreamRun", **start)
        thread = me.call("GetThread", thread_id=thread_id).thread
        (run,) = me.call("ListRuns", thread_id=thread_id).runs
        assert value(thread.metadata) == value(run.metadata) == {**metadata, "owner": name}
        assert eve.refusal("GetThread", thread_id=thread_id)[1] == "THREAD_NOT_FOUND"
