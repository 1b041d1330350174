"""Contract: what happens to pauses and runs is in the log of changes, in one order for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from graphwire_server.storage.interface import CHANGES, Storage, Transaction, thread_topic
from graphwire_server.storage.records import (
    LOG_START,
    ChangeKind,
    ChangePlace,
    ChangeRecord,
    PauseStatus,
    RunStatus,
)

from .builders import A_DAY, a_pause, a_run, a_thread, add

Said = tuple[ChangeKind, str, int]


async def read_all(storage: Storage, after: ChangePlace = LOG_START) -> Sequence[ChangeRecord]:
    """Reads the log, as soon as nothing is under way that could be before its end."""
    while True:
        page = await storage.read(lambda db: db.changes(after=after, limit=1000))
        if not page.more_soon:
            return page.changes
        await asyncio.sleep(0.01)


async def said(storage: Storage) -> list[Said]:
    """The log in short: what has happened to which pause or run, and when."""
    return [(c.kind, c.subject, c.time) for c in await read_all(storage)]


async def test_pauses_and_runs_are_told_of_as_they_change(storage: Storage) -> None:
    await add(storage, a_thread(), a_run("queued"), a_run("other"))
    assert await said(storage) == []
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    (claimed,) = await storage.write(lambda tx: tx.claim_due("server", limit=9))
    assert claimed.start_time is not None

    def end(tx: Transaction) -> None:
        tx.change_run("queued", RunStatus.INTERRUPTED, now=3)
        tx.insert_pauses([a_pause("p", create_time=4), a_pause("q", create_time=4)])

    await storage.write(end)
    # A resume, as it is accepted; and a run that is cancelled before it has begun.
    await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.RESUMED, now=5))
    await add(storage, a_run("resume", status=RunStatus.RUNNING, start_time=6))
    await storage.write(lambda tx: tx.resolve_pause("q", PauseStatus.SUPERSEDED, now=7))
    await storage.write(lambda tx: tx.change_run("other", RunStatus.CANCELLED, now=8))
    assert await said(storage) == [
        (ChangeKind.RUN_STARTED, "queued", claimed.start_time),
        (ChangeKind.RUN_ENDED, "queued", 3),
        (ChangeKind.PAUSED, "p", 4),
        (ChangeKind.PAUSED, "q", 4),
        (ChangeKind.PAUSE_RESOLVED, "p", 5),
        (ChangeKind.RUN_STARTED, "resume", 6),
        (ChangeKind.PAUSE_RESOLVED, "q", 7),
        (ChangeKind.RUN_ENDED, "other", 8),
    ]


async def test_what_changes_nothing_is_not_told_of(storage: Storage) -> None:
    await add(storage, a_thread(), a_run(status=RunStatus.SUCCEEDED, start_time=1, end_time=2))
    await add(storage, a_pause("p", status=PauseStatus.RESUMED))
    await storage.write(lambda tx: tx.change_run("run", RunStatus.FAILED, now=3))
    await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.SUPERSEDED, now=3))
    assert await said(storage) == []


async def test_work_that_fails_leaves_no_change_of_it_and_those_beside_it_do(
    storage: Storage,
) -> None:
    await add(storage, *(a_thread(name) for name in "abc"))

    def pause(tx: Transaction, name: str) -> None:
        tx.insert_pauses([a_pause(name, name)])
        if name == "b":
            raise LookupError(name)

    # All at once, so that they share a transaction.
    outcomes = await asyncio.gather(
        *(storage.write(lambda tx, name=name: pause(tx, name)) for name in "abc"),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), LookupError, type(None)]
    assert [(kind, subject) for kind, subject, _ in await said(storage)] == [
        (ChangeKind.PAUSED, "a"),
        (ChangeKind.PAUSED, "c"),
    ]


async def test_very_many_changes_of_one_transaction_keep_their_order(storage: Storage) -> None:
    await add(storage, a_thread())
    names = [f"p{number:04}" for number in range(1200)]
    await storage.write(lambda tx: tx.insert_pauses([a_pause(name) for name in names]))
    found = await read_all(storage)
    found = [*found, *await read_all(storage, found[-1].place)]
    assert [change.subject for change in found] == names
    assert sorted(change.place for change in found) == [change.place for change in found]


async def test_the_log_is_read_in_parts_from_any_place(storage: Storage) -> None:
    await add(storage, a_thread(), *(a_pause(name) for name in "abcde"))
    whole = await read_all(storage)
    for index, change in enumerate(whole):
        page = await storage.read(lambda db, c=change: db.changes(after=c.place, limit=2))  # type: ignore[misc]
        assert page.changes == tuple(whole[index + 1 : index + 3])


async def test_the_end_of_the_log_is_after_all_that_is_there(storage: Storage) -> None:
    empty = await storage.read(lambda db: db.end_of_changes())
    assert (empty.place, empty.ahead) == (LOG_START, frozenset())
    await add(storage, a_thread(), a_pause("a"))
    whole = await read_all(storage)
    end = await storage.read(lambda db: db.end_of_changes())
    assert (end.place, end.ahead) == (whole[-1].place, frozenset())
    await add(storage, a_pause("b"))
    assert [c.subject for c in await read_all(storage, end.place)] == ["b"]


async def test_old_changes_are_removed_and_the_log_says_up_to_where(storage: Storage) -> None:
    await add(storage, a_thread(), *(a_pause(str(n), create_time=n) for n in range(1, 7)))
    whole = await read_all(storage)
    assert await storage.write(lambda tx: tx.remove_changes(before=4, limit=2)) == 2
    assert await storage.write(lambda tx: tx.remove_changes(before=4, limit=2)) == 1
    assert await storage.write(lambda tx: tx.remove_changes(before=4, limit=2)) == 0
    page = await storage.read(lambda db: db.changes(after=LOG_START, limit=9))
    assert (page.changes, page.removed) == (tuple(whole[3:]), whole[2].place)


async def test_a_pause_that_was_made_long_ago_is_told_of_when_it_comes(storage: Storage) -> None:
    """As in a copy: else it would be removed as old, with all that is known before it."""
    await add(storage, a_thread())
    await storage.write(lambda tx: tx.insert_pauses([a_pause("p", create_time=1)], now=9))
    assert await said(storage) == [(ChangeKind.PAUSED, "p", 9)]


async def test_the_last_change_stays_so_that_no_number_is_used_twice(storage: Storage) -> None:
    await add(storage, a_thread(), a_pause("a"), a_pause("b"))
    whole = await read_all(storage)
    assert await storage.write(lambda tx: tx.remove_changes(before=A_DAY, limit=9)) == 1
    assert await storage.write(lambda tx: tx.remove_changes(before=A_DAY, limit=9)) == 0
    await add(storage, a_pause("c"))
    (after,) = await read_all(storage, whole[-1].place)
    assert after.subject == "c"
    end = await storage.read(lambda db: db.end_of_changes())
    assert end.place == after.place


async def test_pauses_and_runs_are_found_by_their_ids(storage: Storage) -> None:
    names = [f"{number:04}" for number in range(600)]
    await add(storage, a_thread(), *(a_pause(name) for name in names))
    await add(storage, *(a_run(name) for name in names))
    wanted = [*names, "nobody"]
    pauses = await storage.read(lambda db: db.pauses_by_id(wanted))
    assert pauses == {name: a_pause(name) for name in names}
    runs = await storage.read(lambda db: db.runs_by_id(wanted))
    assert runs == {name: a_run(name) for name in names}
    assert await storage.read(lambda db: db.pauses_by_id([])) == {}
    assert await storage.read(lambda db: db.pause("0007")) == a_pause("0007")
    assert await storage.read(lambda db: db.pause("nobody")) is None


async def test_threads_are_asked_what_they_contain(storage: Storage) -> None:
    await add(
        storage,
        a_thread("a", metadata='{"team": "x"}', values='{"n": 1}'),
        a_thread("b", metadata='{"team": "x"}', values='{"n": 2}', stateless=True),
        a_thread("c", metadata='{"team": "y"}', values='{"n": 1}'),
    )

    async def containing(ids: str, metadata: str | None, values: str | None) -> set[str]:
        return await storage.read(
            lambda db: db.threads_containing(list(ids), metadata=metadata, values=values)
        )

    assert await containing("abcd", '{"team": "x"}', None) == {"a", "b"}
    assert await containing("abcd", None, '{"n": 1}') == {"a", "c"}
    assert await containing("abcd", '{"team": "x"}', '{"n": 1}') == {"a"}
    assert await containing("bc", None, None) == {"b", "c"}
    with pytest.raises(ValueError, match="metadata must be a JSON object"):
        await containing("a", "[1]", None)


async def test_changes_are_announced_once_they_are_committed(storage: Storage) -> None:
    heard: list[str] = []
    storage.listen(heard.extend)
    await add(storage, a_thread(), a_pause("p"), a_run(status=RunStatus.RUNNING))
    await until_heard(heard, CHANGES, thread_topic("thread"))
    heard.clear()
    await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.CANCELLED, now=1))
    await until_heard(heard, CHANGES)
    heard.clear()
    await storage.write(lambda tx: tx.delete_thread("thread"))
    await until_heard(heard, thread_topic("thread"))
    assert CHANGES not in heard


async def test_that_a_thread_goes_with_its_open_pauses_is_told_once(storage: Storage) -> None:
    await add(storage, a_thread(), a_pause("p"), a_pause("q"))
    before = await storage.read(lambda db: db.now())
    await storage.write(lambda tx: tx.delete_thread("thread"))
    *_, told = await said(storage)
    assert told[:2] == (ChangeKind.PAUSES_DELETED, "thread")
    assert before <= told[2] <= await storage.read(lambda db: db.now())
    assert [kind for kind, _, _ in await said(storage)].count(ChangeKind.PAUSES_DELETED) == 1


async def until_heard(heard: list[str], *topics: str) -> None:
    async with asyncio.timeout(10):
        while not set(topics) <= set(heard):
            await asyncio.sleep(0.01)
