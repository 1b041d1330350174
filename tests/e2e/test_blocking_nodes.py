"""A node that blocks the event loop is found and named in the log."""

from __future__ import annotations

import re
import threading

from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import create, new_thread, payload, shapes, stream, wait
from tests.e2e.gates import Gate, until
from tests.servers import ZOO, ServerProcess

LOG = payload({"log": ["in"]})


def line_of(text: str) -> int:
    """The line of the zoo's trouble.py that has a text."""
    lines = (ZOO / "zoo" / "trouble.py").read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, start=1) if text in line]
    return number


def test_the_log_names_the_node_and_the_line_that_block_the_loop_once_for_each_time(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    server: ServerProcess,
) -> None:
    for _ in range(2):
        before = len(server.log)
        events = stream(runs, thread_id=new_thread(threads), assistant_id="blocker", input=LOG)
        assert shapes(events) == [("updates", "block", {"log": ["block"]}), ("end", "SUCCEEDED")]
        until(lambda seen=before: "node=block" in server.log[seen:])  # type: ignore[misc]
        warnings = [
            line
            for line in server.log[before:].splitlines()
            if "event_loop_blocked" in line and "node=block" in line
        ]
        (warning,) = warnings
        assert "[warning" in warning
        said = dict(re.findall(r"(\w+)=('[^']*'|\S+)", warning))
        assert said["node"] == "block"
        assert said["where"] == f"zoo/trouble.py:{line_of('time.sleep(1.0)')}"
        assert said["function"] == "_block"
        assert float(said["blocked_for"]) >= 0.5


def test_plain_functions_that_take_long_block_nothing_and_are_not_named(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    server: ServerProcess,
    gate: Gate,
) -> None:
    before = len(server.log)
    run = create(runs, thread_id=new_thread(threads), assistant_id="gated_sync", input=gate.input)
    gate.wait_begun()
    # Longer than what is reported of a node in the event loop.
    opener = threading.Timer(0.8, gate.open)
    opener.start()
    events = stream(runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG)
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    wait(runs, run.run_id)
    opener.join()
    assert "node=gate" not in server.log[before:]
