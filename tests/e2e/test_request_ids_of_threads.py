"""request_id of Threads: what is repeated is made, or changed, once."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from graphwire.v1 import (
    payload_pb2,
    run_event_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.callers import at_once
from tests.e2e.drive import (
    DEADLINE,
    create,
    delete_thread,
    get_thread,
    join,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
)

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

LOG = payload({"log": ["in"]})


class TestAThreadThatIsCreatedAgain:
    """CreateThread with a request_id that has created a thread."""

    def test_is_returned_as_it_is_now(self, threads: Threads, once: str) -> None:
        metadata = payload({"a": 1})
        thread = new_thread(threads, metadata=metadata, request_id=once)
        update = threads_pb2.UpdateThreadRequest(thread_id=thread, metadata=payload({"b": 2}))
        changed = threads.UpdateThread(update, timeout=DEADLINE).thread
        request = threads_pb2.CreateThreadRequest(metadata=metadata, request_id=once)
        assert threads.CreateThread(request, timeout=DEADLINE).thread == changed
        assert value(changed.metadata) == {"a": 1, "b": 2}

    def test_is_one_thread_for_callers_who_call_at_once(self, threads: Threads, once: str) -> None:
        mark = payload({"once": once})
        made = at_once(lambda: new_thread(threads, metadata=mark, request_id=once))
        assert len({*made}) == 1
        which = threads_pb2.ThreadFilter(metadata=mark)
        counted = threads.CountThreads(threads_pb2.CountThreadsRequest(filter=which))
        assert counted.count == 1

    @pytest.mark.parametrize(
        "metadata",
        [
            payload_pb2.Payload(json='{ "b": [1],"a":1 }'),
            ParseDict({"value": {"a": 1, "b": [1.0]}}, payload_pb2.Payload()),
        ],
        ids=["other blanks and order", "value form"],
    )
    def test_is_the_same_by_meaning(
        self, threads: Threads, once: str, metadata: payload_pb2.Payload
    ) -> None:
        first = new_thread(threads, metadata=payload({"a": 1, "b": [1]}), request_id=once)
        again = new_thread(
            threads,
            metadata=metadata,
            if_exists=threads_pb2.IF_EXISTS_REJECT,
            request_id=once,
        )
        assert again == first

    @pytest.mark.parametrize(
        "other",
        [
            {"metadata": payload({"a": 2})},
            {"thread_id": "another"},
            {"metadata": payload({"a": 1}), "if_exists": threads_pb2.IF_EXISTS_RETURN},
        ],
        ids=["metadata", "thread_id", "if_exists"],
    )
    def test_is_refused_if_it_is_to_be_another(
        self, threads: Threads, once: str, other: dict[str, Any]
    ) -> None:
        new_thread(threads, metadata=payload({"a": 1}), request_id=once)
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED") as refusal:
            new_thread(threads, **other, request_id=once)
        assert refusal.resource == ("request", once)

    def test_is_not_made_again_when_it_was_deleted(self, threads: Threads, once: str) -> None:
        thread = new_thread(threads, request_id=once)
        delete_thread(threads, thread)
        with refused("NOT_FOUND", "THREAD_NOT_FOUND") as refusal:
            new_thread(threads, request_id=once)
        assert refusal.resource == ("thread", thread)

    def test_is_remembered_also_if_it_was_there_already(self, threads: Threads, once: str) -> None:
        request = {
            "thread_id": new_thread(threads),
            "if_exists": threads_pb2.IF_EXISTS_RETURN,
            "request_id": once,
        }
        assert new_thread(threads, **request) == request["thread_id"]
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            new_thread(threads, request_id=once)
        delete_thread(threads, request["thread_id"])
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            new_thread(threads, **request)

    def test_may_be_another_if_the_first_was_refused(self, threads: Threads, once: str) -> None:
        taken = new_thread(threads)
        with refused("ALREADY_EXISTS", "THREAD_EXISTS"):
            new_thread(threads, thread_id=taken, request_id=once)
        assert new_thread(threads, request_id=once) != taken


class TestAnEditThatIsRepeated:
    """UpdateThread and UpdateThreadState with a request_id that has made an edit."""

    def test_changes_metadata_once(self, threads: Threads, once: str) -> None:
        thread = new_thread(threads)

        def update(metadata: Any, request_id: str = "") -> Any:
            request = threads_pb2.UpdateThreadRequest(
                thread_id=thread, metadata=payload(metadata), request_id=request_id
            )
            return threads.UpdateThread(request, timeout=DEADLINE).thread

        update({"n": 1}, once)
        latest = update({"n": 2})
        assert update({"n": 1}, once) == latest
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            update({"n": 3}, once)
        assert get_thread(threads, thread) == latest

    def test_changes_the_state_once(self, runs: Runs, threads: Threads, once: str) -> None:
        thread = new_thread(threads)
        stream(runs, thread_id=thread, assistant_id="linear", input=LOG)
        head = get_thread(threads, thread).checkpoint_id

        def edit(text: str, request_id: str) -> threads_pb2.ThreadState:
            request = threads_pb2.UpdateThreadStateRequest(
                thread_id=thread,
                values=payload({"log": [text]}),
                expected_checkpoint_id=head,
                request_id=request_id,
            )
            return threads.UpdateThreadState(request, timeout=DEADLINE).state

        first = edit("x", once)
        assert edit("x", once) == first
        assert value(first.values) == {"log": ["in", "a", "b", "c", "x"]}
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            edit("y", once)
        assert get_thread(threads, thread).checkpoint_id == first.checkpoint_id
        history = threads.ListThreadHistory(threads_pb2.ListThreadHistoryRequest(thread_id=thread))
        assert history.states[1].checkpoint_id == head

    def test_changes_the_state_once_for_callers_who_call_at_once(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        thread = new_thread(threads)
        stream(runs, thread_id=thread, assistant_id="linear", input=LOG)
        request = threads_pb2.UpdateThreadStateRequest(
            thread_id=thread, values=payload({"log": ["x"]}), request_id=once
        )
        states = at_once(lambda: threads.UpdateThreadState(request, timeout=DEADLINE).state)
        assert all(state == states[0] for state in states)
        assert value(states[0].values) == {"log": ["in", "a", "b", "c", "x"]}

    def test_may_be_another_if_the_first_was_refused(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        thread = new_thread(threads)
        stream(runs, thread_id=thread, assistant_id="linear", input=LOG)
        request = threads_pb2.UpdateThreadStateRequest(
            thread_id=thread, values=payload({"log": ["x"]}), as_node="z", request_id=once
        )
        with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "as_node"):
            threads.UpdateThreadState(request, timeout=DEADLINE)
        request.as_node = "a"
        state = threads.UpdateThreadState(request, timeout=DEADLINE).state
        assert state.next == ["b"]

    @pytest.mark.parametrize("rpc", ["UpdateThread", "UpdateThreadState"])
    def test_is_not_found_when_its_thread_was_deleted(
        self, threads: Threads, once: str, rpc: str
    ) -> None:
        thread = new_thread(threads)
        request: Any
        if rpc == "UpdateThread":
            request = threads_pb2.UpdateThreadRequest(thread_id=thread, metadata=payload({}))
        else:
            request = threads_pb2.UpdateThreadStateRequest(
                thread_id=thread, values=LOG, as_node="a", assistant_id="linear"
            )
        request.request_id = once
        getattr(threads, rpc)(request, timeout=DEADLINE)
        delete_thread(threads, thread)
        with refused("NOT_FOUND", "THREAD_NOT_FOUND") as refusal:
            getattr(threads, rpc)(request, timeout=DEADLINE)
        assert refusal.resource == ("thread", thread)


def test_one_id_may_serve_every_rpc_once(runs: Runs, threads: Threads, once: str) -> None:
    thread = new_thread(threads, request_id=once)
    update = threads_pb2.UpdateThreadRequest(
        thread_id=thread, metadata=payload({"a": 1}), request_id=once
    )
    assert value(threads.UpdateThread(update, timeout=DEADLINE).thread.metadata) == {"a": 1}
    run_id = create(
        runs, thread_id=thread, assistant_id="linear", input=LOG, request_id=once
    ).run_id
    events: list[run_event_pb2.RunEvent] = join(runs, run_id)
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    edit = threads_pb2.UpdateThreadStateRequest(thread_id=thread, values=LOG, request_id=once)
    state = threads.UpdateThreadState(edit, timeout=DEADLINE).state
    assert value(state.values) == {"log": ["in", "a", "b", "c", "in"]}
    again = stream(runs, thread_id=thread, assistant_id="linear", input=LOG, request_id=once)
    assert again[0].run_id != run_id
