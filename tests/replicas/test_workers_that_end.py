"""Workers that do not come up, or are to end."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import COMMAND
from tests.e2e.drive import payload
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.processes import Program
from tests.replicas.group import Group, children, connections, is_there
from tests.replicas.replica import PROJECT, Ledger, Reader, march


def test_what_keeps_a_worker_from_starting_is_said_once(postgres: PostgresServer) -> None:
    group = Group(postgres.url("nowhere"))
    with pytest.raises(AssertionError, match="did not start"):
        group.start()
    assert group.wait() == 3
    assert group.log.count('database "nowhere" does not exist') == 1


def test_a_worker_that_does_not_come_up_is_given_up(database: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    with (project / "marching.py").open("a") as module:
        # Whoever loads the project spoils it for those that come after.
        module.write("Path(__file__).with_name('langgraph.json').write_text('{')\n")
    group = Group(database, project)
    with pytest.raises(
        AssertionError, match=r"worker_given_up .* 5 times as soon as it was started"
    ):
        group.start()
    assert group.wait() == 3
    assert group.log.count("langgraph.json") == 5


def test_workers_end_with_the_process_that_started_them(database: str) -> None:
    command = [*COMMAND, "serve", str(PROJECT), "--workers=2", f"--database={database}"]
    with Program(
        [*command, "--listen=127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as parent:
        until(lambda: children(parent.pid), "a worker is started")
        (worker,) = children(parent.pid)
        parent.kill()
        until(lambda: not is_there(worker), "the worker ends")


def test_a_second_signal_ends_them_at_once(database: str, gate: Gate, ledger: Ledger) -> None:
    group = Group(database).start()
    with connections(group, 1) as (connection,):
        given = march(ledger, steps=2, halt=0, path=str(gate.path))
        Reader.stream(connection, assistant_id="march", input=payload(given))
        gate.wait_begun()
        workers = group.workers
        group.signal(signal.SIGINT)
        until(lambda: "draining" in group.log, "it drains")
        group.signal(signal.SIGINT)
        assert group.wait() == 130
        assert not any(is_there(pid) for pid in workers)
    assert group.log.count("workers  2") == 1
