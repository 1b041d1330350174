"""Postgres: servers that sweep one database leave each other, and those who decide, alone."""

from __future__ import annotations

import asyncio
from collections import Counter

from graphwire_server.runs import retention
from graphwire_server.runs.housekeeping import Housekeeping, RetentionPolicy
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.postgres import PostgresStorage
from graphwire_server.storage.records import Expiry, RunStatus, ThreadsKept

from .builders import a_run, a_thread, add, an_event
from .two_servers import Deciding

WHICH = Expiry(ThreadsKept.DEFAULT, before=5)


async def test_a_thread_that_somebody_decides_on_is_left_for_the_next_time(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread("free"), a_thread("taken"))
    deciding = Deciding(a, "taken")
    await deciding.until_it_has_read()
    swept = await b.write(lambda tx: retention.delete_threads(tx, WHICH))
    assert (swept.extent.threads, swept.more) == (1, False)
    await deciding.finish()
    # It was changed, so that its time has begun anew.
    swept = await b.write(lambda tx: retention.delete_threads(tx, WHICH))
    assert swept.extent.threads == 0
    assert await b.read(lambda r: r.thread("taken")) is not None
    pruned: list[str] = await b.write(lambda tx: tx.unpruned_threads(limit=9))
    assert pruned == ["taken"]


async def test_servers_that_sweep_at_once_do_each_thing_once(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    def fill(tx: Transaction) -> None:
        for number in range(150):
            tx.insert_thread(a_thread(f"old-{number}"))
            name = f"kept-{number}"
            tx.insert_thread(a_thread(name, ttl=0))
            tx.insert_run(a_run(name, name, status=RunStatus.SUCCEEDED, end_time=1))
            tx.append_events([an_event(sequence, name) for sequence in range(1, 6)])
            tx.update_thread(name, now=1, head=("c", (), None))

    await a.write(fill)
    policy = RetentionPolicy(stateless_ttl=1, thread_ttl=1, event_ttl=1, latest_checkpoints=True)
    sweeps = (Housekeeping(storage, policy).sweep() for storage in (a, b, a, b))
    removed: Counter[str] = Counter()
    for extent in await asyncio.gather(*sweeps):
        removed.update(threads=extent.threads, events=extent.events)
    assert removed == {"threads": 150, "events": 150 * 3}
    assert await a.read(lambda r: r.unpruned_threads(limit=9)) == []
