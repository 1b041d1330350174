"""Breakpoints of a run: where it stops, what it says, and how it goes on."""

from __future__ import annotations

from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc
from tests.e2e.drive import get_thread, new_thread, payload, shapes, stream

LOG = payload({"log": ["in"]})


def test_a_run_stops_before_a_node_and_a_resume_goes_on_from_there(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    first = stream(
        runs, thread_id=thread, assistant_id="linear", input=LOG, interrupt_before=["b"]
    )
    assert shapes(first) == [
        ("updates", "a", {"log": ["a"]}),
        ("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"]),
        ("end", "INTERRUPTED"),
    ]
    second = stream(runs, thread_id=thread, resume={})
    assert shapes(second) == [
        ("updates", "b", {"log": ["b"]}),
        ("updates", "c", {"log": ["c"]}),
        ("end", "SUCCEEDED"),
    ]
    assert second[0].metadata.resumed_run_id == first[0].run_id
    assert not get_thread(threads, thread).pauses
