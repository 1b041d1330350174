"""Fixtures for all tests: one real server on the zoo of graphs, and stubs to call it.

The stubs come from pytest-grpc; its server fixture, which knows only the synchronous
server of grpcio, is overridden with ours.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from graphwire.v1 import (
    assistants_pb2_grpc,
    runs_pb2_grpc,
    server_pb2_grpc,
    threads_pb2_grpc,
)

from tests.e2e.gates import Gate
from tests.servers import ServerProcess

# Where only the client is installed there is none of this.
if TYPE_CHECKING:
    from graphwire_server.storage.interface import Storage
    from graphwire_server.storage.locations import PostgresAddress

    from tests.pooler import Pooler
    from tests.postgres import PostgresServer

TESTS = Path(__file__).parent

#: The files that take longest, from the longest on. A file is run by one process from its
#: beginning to its end, so what begins last must be short.
LONGEST = [
    TESTS / name
    for name in (
        "faults/test_database.py",
        "crash/test_campaign.py",
        "e2e/test_fuzz.py",
        "e2e/test_recovery.py",
        "e2e/test_connections.py",
        "faults/test_readers.py",
        "crash/test_campaign_on_postgres.py",
        "e2e/test_shutdown.py",
        "examples/test_demo.py",
        "observability/test_traces.py",
        "replicas/test_workers_that_end.py",
        "checkpoints/test_graphs.py",
        "observability/test_metrics.py",
        "replicas/test_any_server.py",
        "docs/test_pages.py",
        "storage/test_queue.py",
        "examples/test_benchmarks.py",
        "e2e/test_joining.py",
        "webhooks/test_delivered.py",
        "checkpoints/test_keep_latest.py",
        "machine/test_status_machine.py",
        "replicas/test_takeover.py",
        "replicas/test_outages.py",
        "checkpoints/test_size.py",
        "e2e/bad_input/test_everywhere.py",
        "e2e/test_health.py",
        "storage/test_transactions.py",
        "checkpoints/test_saver.py",
        "cli/debugger/test_lost_servers.py",
        "cli/test_serve.py",
        "e2e/test_breakpoints_recovered.py",
        "storage/test_threads.py",
        "e2e/test_tls.py",
        "faults/test_refused_writes.py",
        "reviews/test_expiry.py",
        "properties/test_breakpoints.py",
        "storage/test_access.py",
        "e2e/test_retention.py",
        "replicas/test_steering.py",
        "faults/test_connections.py",
        "replicas/test_drain.py",
        "e2e/test_resumes_at_once.py",
        "storage/test_postgres_queue_plans.py",
        "crash/test_faults.py",
        "observability/test_workers.py",
        "e2e/test_queue.py",
        "e2e/test_hostile_graphs.py",
        "e2e/test_rollback.py",
        "e2e/bad_input/test_refusals.py",
        "storage/test_leases.py",
        "e2e/test_limits.py",
        "observability/test_log_lines.py",
        "e2e/test_watch_threads.py",
        "client/real_server/test_how_to.py",
        "replicas/test_webhooks.py",
        "payloads/test_payload_properties.py",
        "e2e/test_cancel.py",
        "replicas/test_workers.py",
        "storage/test_postgres_schema.py",
        "cli/test_run.py",
        "e2e/test_join_thread.py",
        "storage/test_sqlite_plans.py",
        "limits/test_table.py",
        "soak/test_soak.py",
        "e2e/test_messages.py",
        "checkpoints/test_values.py",
        "observability/test_page.py",
        "replicas/test_workers_tls.py",
        "storage/test_postgres_connections.py",
        "storage/test_runs.py",
        "checkpoints/test_pruning.py",
        "graphs/test_blocking.py",
        "e2e/test_pauses_survive.py",
        "reviews/test_reviews.py",
        "e2e/test_resume_rules.py",
        "client/test_client_retries.py",
        "e2e/test_paging.py",
        "cli/test_db_prune.py",
        "storage/test_inbox.py",
        "e2e/test_double_texting.py",
        "e2e/test_request_ids.py",
        "storage/test_webhooks.py",
        "runs/test_retention.py",
        "e2e/test_beginnings.py",
        "replicas/test_frozen_alone.py",
    )
]


#: The files that are also run behind a pooler. It takes sessions apart, not statements: what
#: counts is what begins and ends transactions, locks, prepares and announces.
POOLED = {
    TESTS / name
    for name in (
        "checkpoints/test_saver.py",
        "storage/test_abandoned_reads.py",
        "storage/test_announcements.py",
        "storage/test_leases.py",
        "storage/test_queue.py",
        "storage/test_transactions.py",
        "storage/test_webhooks.py",
    )
}


#: For how long, in seconds, the end of a test may take, and that of a process when all is done.
_ENDING = 180
#: Where the stacks go of who takes longer: what is written to stderr meanwhile is kept back.
_stderr = -1


def pytest_configure(config: pytest.Config) -> None:
    """Prepares the process, and each of several workers."""
    global _stderr
    _stderr = os.dup(2)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what is to run in the background so. What tests start would inherit it,
        # and some of it is to end by Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _read_a_share(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Ends the process by force if what a test leaves behind does not come to its end.

    A test that has failed has no time limit any more: pytest takes it away for debuggers.
    """
    faulthandler.dump_traceback_later(_ENDING, exit=True, file=_stderr)
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """The same for whatever runs when all is done."""
    faulthandler.dump_traceback_later(_ENDING, exit=True, file=_stderr)


def _read_a_share(config: pytest.Config) -> None:
    """Has each of several workers read a share of the files that no other one reads first.

    In a clean clone there is no bytecode of the tests yet, and to make it takes three times as
    long as to collect them. All workers go through the files in the same order, so each of them
    would make all of it.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    number, many = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for path in sorted(TESTS.rglob("test_*.py"))[number::many]:
        module = ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)
        # Whatever is wrong with one is told when it is collected.
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("error")
            importlib.import_module(module)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what need not run behind a pooler; puts the files that take longest first."""
    items[:] = [item for item in items if item.path in POOLED or not _is_pooled(item)]
    place = {path: number for number, path in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """Keeps ten thousand tests, and what they import, out of Python's garbage collections."""
    gc.collect()
    gc.freeze()


def _is_pooled(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("storage") == "pooled"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that tests share. Those that kill or fill one start their own."""
    process = ServerProcess(tmp_path_factory.mktemp("server") / "graphwire.db").start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real Postgres. Without one its tests fail; they are never skipped."""
    from tests.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> Iterator[str]:
    """A database at the newest version, which tests have one after another."""
    from graphwire_server.storage.locations import PostgresAddress
    from graphwire_server.storage.postgres.schema import migrate
    from graphwire_server.storage.postgres.store import migrate_store
    from graphwire_server.storage.sql.migrations import load_migrations

    with postgres.fresh_database() as name:
        address = PostgresAddress(postgres.url(name))
        with postgres.connect(name) as connection:
            migrate(connection, address, load_migrations())
            migrate_store(connection, address)
        yield name


@pytest.fixture
def postgres_address(postgres: PostgresServer, migrated_database: str) -> PostgresAddress:
    """Where a test of Postgres has its database, which is at the newest version and empty.

    Tests that change the schema have a fresh database, `postgres_url`.
    """
    from graphwire_server.storage.locations import PostgresAddress

    from tests.postgres import empty

    with postgres.connect(migrated_database) as connection:
        empty(connection)
    return PostgresAddress(postgres.url(migrated_database))


@pytest.fixture(params=["sqlite", "postgres", "pooled"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage: in a file, on Postgres, and, for some files, behind a pooler."""
    from graphwire_server.storage.opening import open_storage

    match request.param:
        case "sqlite":
            storage = await open_storage(tmp_path / "graphwire.db")
        case "postgres":
            storage = await open_storage(request.getfixturevalue("postgres_address"))
        case _:
            storage = await open_storage(request.getfixturevalue("pooled_address"))
    yield storage
    await storage.close()


@pytest.fixture(scope="session")
def pooler(postgres: PostgresServer) -> Iterator[Pooler]:
    """A pooler in front of Postgres, which can also lose things."""
    from tests.pooler import running_pooler

    with running_pooler(postgres.folder) as pooler:
        yield pooler


@pytest.fixture
def pooled_address(
    pooler: Pooler, migrated_database: str, postgres_address: PostgresAddress
) -> PostgresAddress:
    """Where `postgres_address` is reached through the pooler."""
    from graphwire_server.storage.locations import PostgresAddress

    pooler.faults.clear()
    pooler.accept()
    return PostgresAddress(pooler.url(migrated_database))


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a fresh database."""
    with postgres.fresh_database() as name:
        yield postgres.url(name)


@pytest.fixture(scope="session")
def grpc_addr(server: ServerProcess) -> str:
    """Where the shared server listens."""
    return server.address


@pytest.fixture(scope="session")
def grpc_server(server: ServerProcess) -> ServerProcess:
    """The shared server, in the place of pytest-grpc's own."""
    return server


@pytest.fixture(scope="module")
def runs(grpc_channel: grpc.Channel) -> runs_pb2_grpc.RunsStub:
    """The stub of Runs."""
    return runs_pb2_grpc.RunsStub(grpc_channel)


@pytest.fixture(scope="module")
def threads(grpc_channel: grpc.Channel) -> threads_pb2_grpc.ThreadsStub:
    """The stub of Threads."""
    return threads_pb2_grpc.ThreadsStub(grpc_channel)


@pytest.fixture(scope="module")
def assistants(grpc_channel: grpc.Channel) -> assistants_pb2_grpc.AssistantsStub:
    """The stub of Assistants."""
    return assistants_pb2_grpc.AssistantsStub(grpc_channel)


@pytest.fixture(scope="module")
def server_stub(grpc_channel: grpc.Channel) -> server_pb2_grpc.ServerStub:
    """The stub of Server."""
    return server_pb2_grpc.ServerStub(grpc_channel)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers that belong to one test: `own_server(env={...})`."""
    started: list[ServerProcess] = []

    def start(project: Path | None = None, env: dict[str, str] | None = None) -> ServerProcess:
        database = tmp_path / f"graphwire-{len(started)}.db"
        process = ServerProcess(database, *([project] if project else []), env=env)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    """Makes gates; those that are closed at the end of the test are opened."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate(tmp_path / f"gate-{len(made)}"))
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest.fixture
def gate(gates: Callable[[], Gate]) -> Gate:
    """A gate of the test's own."""
    return gates()
