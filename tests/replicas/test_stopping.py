"""A server that is stopped hands its runs on, at once."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import grpc

from tests.e2e.drive import create, payload, reason_of, value
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.replicas.replica import (
    SUCCEEDED,
    Ledger,
    Reader,
    Replica,
    attempts,
    begin,
    customs,
    replicas,
    wait_run,
)


def told(replica: Replica, event: str, run_id: str) -> list[dict[str, Any]]:
    """The lines of a server's log that tell this of a run."""
    lines = (json.loads(line) for line in replica.process.log.splitlines())
    return [line for line in lines if (line["event"], line.get("run_id")) == (event, run_id)]


def test_a_server_that_is_stopped_hands_its_runs_on_at_a_step_and_at_once(
    postgres: PostgresServer, gates: Callable[[], Gate], ledger: Ledger
) -> None:
    # No lease runs out here: it is the word of the server that is leaving that counts.
    env = {
        "GRAPHWIRE_LEASE_SECONDS": "600",
        "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "60",
        "GRAPHWIRE_LOG_FORMAT": "json",
    }
    first, then = gates(), gates()
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, leaving=env, staying=env) as (leaving, staying),
    ):
        seen = begin(leaving, first, ledger, steps=6, halt=3, path_of_next=str(then.path))
        there = Reader.join(staying, seen.run_id)
        leaving.process.signal(signal.SIGTERM)
        until(lambda: "draining" in leaving.process.log, "it drains")
        first.open()
        # The other one is in the next step, and its end is still to come.
        then.wait_begun()
        failure = seen.failure()
        assert failure.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(failure) == "SHUTTING_DOWN"
        assert leaving.process.wait() == 0
        then.open()
        events = there.whole()
        # Nothing went wrong: nobody has to look at it.
        (given,) = told(leaving, "run_handed_back", seen.run_id)
        (taken,) = told(staying, "run_taken_over", seen.run_id)
        assert taken["level"] == given["level"] == "info"
        assert taken["request_id"] == given["request_id"] != ""
        assert (taken["thread_id"], taken["attempt"]) == (given["thread_id"], 2)
        assert told(staying, "run_recovered", seen.run_id) == []
        # No step was done twice: the one under way had come to its end.
        assert customs(events) == [0, 1, 2, 3, 4, 5]
        assert attempts(events) == [2]
        ledger.check(steps=6, attempts=1)
        assert [pid for _, pid in ledger.lines("begin")] == [leaving.pid] * 4 + [staying.pid] * 2
        # The reader knows where to go on, and misses nothing.
        assert events[: len(seen.events)] == seen.events
        rest = Reader.join(staying, seen.run_id, after=seen.events[-1].sequence).whole()
        assert [*seen.events, *rest] == events


def test_what_waits_on_a_server_that_is_stopped_goes_on_elsewhere(
    postgres: PostgresServer, gates: Callable[[], Gate]
) -> None:
    env = {"GRAPHWIRE_LEASE_SECONDS": "600", "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "0"}
    one = {**env, "GRAPHWIRE_MAX_CONCURRENT_RUNS": "1"}
    gate, queued = gates(), gates()
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, leaving=one, staying=one) as (leaving, staying),
    ):
        runs: list[Any] = []
        for server, each in ((leaving, gate), (staying, gate), (leaving, queued)):
            given = payload({"path": str(each.path)})
            runs.append(create(server.runs, assistant_id="waits", input=given))
            if each is gate:
                gate.wait_begun()
        # In the middle of its node, since there is no time: the node is run again.
        assert leaving.stop() == 0
        gate.open()
        queued.open()
        for run in runs:
            ended = wait_run(staying, run.run_id)
            assert ended.run.status == SUCCEEDED
            assert value(ended.values)["pids"] == [staying.pid] * 2
