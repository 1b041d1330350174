"""What is asked of a run while it executes, and what breakpoints have let pass."""

from __future__ import annotations

from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import Lease, RunStatus

from tests.storage.builders import A_DAY, a_run, a_thread


async def filled(storage: Storage) -> Storage:
    """A thread with a run that the server `a` executes, and one that is queued."""

    def fill(tx: Transaction) -> None:
        for server_id in ("a", "b"):
            tx.join_servers(server_id, ttl=A_DAY)
        for name in ("t", "u"):
            tx.insert_thread(a_thread(name))
        running = a_run("r", "t", status=RunStatus.RUNNING, lease=Lease("a", 1), attempt=1)
        tx.insert_run(running)
        tx.insert_run(a_run("q", "u", status=RunStatus.PENDING))

    await storage.write(fill)
    return storage


async def test_what_is_asked_of_a_run_is_to_be_confirmed_by_who_executes_it(
    storage: Storage,
) -> None:
    await filled(storage)
    assert await storage.read(lambda db: db.is_steered("r"))
    await storage.write(lambda tx: tx.set_run_breakpoints("r", '["x"]'))
    await storage.write(lambda tx: tx.request_pause("r"))
    (run,) = await storage.read(lambda db: db.unsteered_runs("a"))
    assert (run.run_id, run.breakpoints, run.pause_requested) == ("r", '["x"]', True)
    assert await storage.read(lambda db: db.unsteered_runs("b")) == []
    assert not await storage.read(lambda db: db.is_steered("r"))
    # To confirm an earlier change is not to confirm a later one.
    await storage.write(lambda tx: tx.confirm_steering("r", run.steering - 1))
    assert not await storage.read(lambda db: db.is_steered("r"))
    await storage.write(lambda tx: tx.confirm_steering("r", run.steering))
    await storage.write(lambda tx: tx.confirm_steering("r", run.steering - 1))
    assert await storage.read(lambda db: db.is_steered("r"))
    assert await storage.read(lambda db: db.unsteered_runs("a")) == []


async def test_nobody_has_to_confirm_what_is_asked_of_a_run_that_does_not_execute(
    storage: Storage,
) -> None:
    await filled(storage)
    await storage.write(lambda tx: tx.request_pause("q"))
    assert await storage.read(lambda db: db.is_steered("q"))
    queued = await storage.read(lambda db: db.run("q"))
    assert queued is not None
    assert queued.pause_requested


async def test_who_takes_a_run_over_knows_what_was_asked_of_it(storage: Storage) -> None:
    await filled(storage)
    await storage.write(lambda tx: tx.set_run_breakpoints("r", '["x"]'))
    await storage.write(lambda tx: tx.leave_servers("a"))
    (taken,) = await storage.write(lambda tx: tx.claim_lost("b", limit=5))
    assert (taken.run.run_id, taken.run.breakpoints) == ("r", '["x"]')
    assert await storage.read(lambda db: db.is_steered("r"))
    assert await storage.read(lambda db: db.unsteered_runs("b")) == []


async def test_what_was_let_pass_is_counted_once(storage: Storage) -> None:
    await filled(storage)
    for hits in ([("one/x", "1"), ("one/x", "2")], [("one/x", "2"), ("two/x", "1")]):
        await storage.write(lambda tx, hits=hits: tx.insert_breakpoint_hits("t", hits))  # type: ignore[misc]
    await storage.write(lambda tx: tx.insert_breakpoint_hits("u", [("one/x", "9")]))
    assert await storage.read(lambda db: db.breakpoint_hits("t")) == {
        "one/x": {"1", "2"},
        "two/x": {"1"},
    }


async def test_counts_are_forgotten_but_for_those_that_are_kept(storage: Storage) -> None:
    await filled(storage)
    hits = [("one/x", "1"), ("two/y", "2"), ("twofold/z", "3"), ("three/y", "4")]
    await storage.write(lambda tx: tx.insert_breakpoint_hits("t", hits))
    await storage.write(lambda tx: tx.insert_breakpoint_hits("u", hits))
    await storage.write(lambda tx: tx.forget_breakpoint_hits("t", keep=["two", "three"]))
    assert await storage.read(lambda db: db.breakpoint_hits("t")) == {
        "two/y": {"2"},
        "three/y": {"4"},
    }
    await storage.write(lambda tx: tx.forget_breakpoint_hits("t", keep=[]))
    assert await storage.read(lambda db: db.breakpoint_hits("t")) == {}
    assert len(await storage.read(lambda db: db.breakpoint_hits("u"))) == 4
