"""`graphwire serve --workers`: several processes behind one port."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.cli.command import call
from tests.e2e.drive import payload, shapes, value
from tests.e2e.gates import Gate, until
from tests.replicas.group import WORKERS, Group, connections, is_there
from tests.replicas.replica import PROJECT, Ledger, Reader, begin, marched, wait_run


@pytest.fixture(scope="module")
def group(database: str) -> Iterator[Group]:
    """A server with workers, which says once where it listens, and stops in order."""
    group = Group(database, env={"GRAPHWIRE_LOG_FORMAT": "json"}).start()
    yield group
    workers = group.workers
    assert len(workers) == WORKERS
    assert group.stop() == 0, group.log
    assert not any(is_there(pid) for pid in workers)
    assert group.log.count('"event": "serving"') == 1


def test_each_worker_serves_and_sees_the_runs_of_the_others(group: Group, gate: Gate) -> None:
    with connections(group) as (first, second):
        assert {first.pid, second.pid} == group.workers
        given = payload({"path": str(gate.path)})
        reader = Reader.stream(first, assistant_id="waits", input=given)
        there = Reader.join(second, reader.run_id)
        gate.wait_begun()
        gate.open()
        assert reader.whole() == there.whole()


def test_a_worker_that_is_killed_is_replaced_and_its_runs_go_on(
    group: Group, gate: Gate, ledger: Ledger
) -> None:
    with connections(group) as (first, second):
        reader = begin(first, gate, ledger, steps=4, halt=2)
        there = Reader.join(second, reader.run_id)
        victim = ledger.lines("begin")[0][1]
        os.kill(victim, signal.SIGKILL)
        gate.wait_begun()
        gate.open()
        assert shapes(there.whole())[-1] == ("end", "SUCCEEDED")
        assert value(wait_run(second, reader.run_id).values)["log"] == marched(4)
        ledger.check(steps=4, attempts=2)
    until(lambda: len(group.workers) == WORKERS, "another worker is started")
    [told] = [json.loads(line) for line in group.log.splitlines() if "worker_ended" in line]
    assert (told["level"], told["logger"]) == ("warning", "graphwire.server")
    assert (told["how"], told["replaced"]) == ("killed by SIGKILL", 1)
    assert told["worker"] in (1, 2)
    with connections(group) as both:
        assert victim not in {connection.pid for connection in both}


def test_no_other_server_gets_the_port(group: Group, database: str) -> None:
    for workers in ("1", "2"):
        result = call(
            "serve",
            str(PROJECT),
            "--listen",
            group.address,
            "--workers",
            workers,
            "--database",
            database,
        )
        assert result.code == 3
        assert result.err == (
            f"graphwire: can't listen on {group.address}: Address already in use\n"
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--database", "data.db"),
            "--workers: several processes need Postgres, as one server at a time can use a "
            "SQLite file: name it with --database postgresql://user@host/database",
        ),
        (
            ("--database", "postgresql://me@nowhere/x", "--reload"),
            "--workers and --reload can't be given together",
        ),
    ],
)
def test_where_several_workers_make_no_sense_they_are_refused(
    options: tuple[str, ...], message: str
) -> None:
    result = call("serve", str(PROJECT), "--workers", "2", *options)
    assert (result.code, result.err) == (2, f"graphwire: {message}\n")
