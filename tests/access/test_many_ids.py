"""What is asked of the database for requests that name many threads or runs."""

from __future__ import annotations

from typing import Any, cast

import pytest
from graphwire import errors
from graphwire.v1 import runs_pb2
from graphwire_server.auth.identity import Identity
from graphwire_server.auth.policies import Ownership
from graphwire_server.rpc.authorization import Authorizer
from graphwire_server.runs.cancelling import find_active
from graphwire_server.runs.clock import new_id
from graphwire_server.storage.access import ALL, Belonging
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import RunStatus
from graphwire_server.storage.sql.reader import SqlReader

from tests.access.guarded import Guests
from tests.e2e.drive import payload
from tests.storage.builders import a_run, a_thread

ADA = Identity("ada", "ada")
RUNS = "/graphwire.v1.Runs/"


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that readers have run."""
    run: list[str] = []
    execute = SqlReader._execute

    def counted(self: SqlReader, statement: str, *args: Any) -> Any:
        run.append(statement)
        return execute(self, statement, *args)

    monkeypatch.setattr(SqlReader, "_execute", counted)
    return run


def authorizer(storage: Storage) -> Authorizer:
    """One by which everybody has his own threads."""
    nothing = cast("Any", None)
    return Authorizer(Ownership(), storage, nothing, nothing)


async def add_runs(storage: Storage, count: int, *, of_bob: int = 0) -> list[str]:
    """Adds runs of ada's and, after them, of bob's; returns their ids."""
    run_ids = [new_id() for _ in range(count + of_bob)]

    def insert(tx: Transaction) -> None:
        tx.insert_thread(a_thread("hers", owner="ada"))
        tx.insert_thread(a_thread("his", owner="bob"))
        for index, run_id in enumerate(run_ids):
            thread_id = "hers" if index < count else "his"
            tx.insert_run(a_run(run_id, thread_id, status=RunStatus.SUCCEEDED), [])

    await storage.write(insert, long=True)
    return run_ids


async def test_runs_to_cancel_are_looked_up_together(
    storage: Storage, statements: list[str]
) -> None:
    *hers, his = await add_runs(storage, 20, of_bob=1)
    statements.clear()
    request = runs_pb2.CancelRunsRequest(run_ids=hers * 50)
    await authorizer(storage).admit(f"{RUNS}CancelRuns", request, ADA)
    assert len(statements) == 1
    # What is somebody else's and what is not there are the same; the first of them is named.
    nowhere = new_id()
    for run_ids, missing in (([*hers, his, nowhere], his), ([*hers, nowhere, his], nowhere)):
        request = runs_pb2.CancelRunsRequest(run_ids=run_ids)
        with pytest.raises(errors.RunNotFoundError, match=missing):
            await authorizer(storage).admit(f"{RUNS}CancelRuns", request, ADA)
    assert len(statements) == 3


async def test_runs_that_are_cancelled_are_read_together(
    storage: Storage, statements: list[str]
) -> None:
    run_ids = await add_runs(storage, 600)
    statements.clear()
    found = await storage.read(
        lambda db: find_active(db, [*run_ids, *run_ids], thread_id="", statuses=(), access=ALL)
    )
    assert found == run_ids
    assert len(statements) == 2


async def test_threads_of_a_batch_are_looked_up_together(
    storage: Storage, statements: list[str]
) -> None:
    names = [f"t{number}" for number in range(50)]

    def insert(tx: Transaction) -> None:
        for name in names:
            tx.insert_thread(a_thread(name, owner="bob" if name == "t49" else "ada"))

    await storage.write(insert, long=True)
    statements.clear()
    batch = runs_pb2.CreateRunsRequest(
        requests=[runs_pb2.CreateRunRequest(thread_id=name) for name in names[:-1] * 2]
    )
    assert len(await authorizer(storage).admit(f"{RUNS}CreateRuns", batch, ADA)) == 98
    assert len(statements) == 1
    for name in ("t49", "nowhere"):
        batch.requests.add(thread_id=name)
        with pytest.raises(errors.ThreadNotFoundError, match=name):
            await authorizer(storage).admit(f"{RUNS}CreateRuns", batch, ADA)
        del batch.requests[-1]
    batch.requests.add(thread_id="a\0b")
    with pytest.raises(errors.InvalidFieldError, match="must be 1 to 128 letters"):
        await authorizer(storage).admit(f"{RUNS}CreateRuns", batch, ADA)


async def test_belongings_are_those_that_are_there(storage: Storage) -> None:
    (run_id,) = await add_runs(storage, 1)
    hers = Belonging("hers", "ada", "{}")
    many = ["hers", "nowhere", *(f"x{number}" for number in range(1200))]
    found = await storage.read(lambda db: db.belongings(thread_ids=many, run_ids=[run_id, "x"]))
    assert found == {"hers": hers, run_id: hers}
    assert await storage.read(lambda db: db.belongings()) == {}


def test_too_many_ids_are_refused_before_anybody_asks_whose_they_are(guest: Guests) -> None:
    bob = guest("bob")
    code, reason, _ = bob.refusal("CancelRuns", run_ids=[new_id()] * 1000)
    assert (code, reason) == ("NOT_FOUND", "RUN_NOT_FOUND")
    code, reason, text = bob.refusal("CancelRuns", run_ids=[new_id()] * 100_000)
    assert (code, reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert "has 100000 items; at most 1000 are allowed" in text
    nowhere = runs_pb2.CreateRunRequest(thread_id="nowhere", input=payload({}))
    code, reason, text = bob.refusal("CreateRuns", requests=[nowhere] * 101)
    assert (code, reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert "has 101 items; at most 100 are allowed" in text
