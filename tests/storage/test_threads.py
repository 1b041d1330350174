"""Contract: threads are kept, changed, listed and deleted as the interface says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from graphwire_server.storage.interface import IntegrityError, Storage
from graphwire_server.storage.records import (
    Failure,
    RunStatus,
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStatus,
)

from .builders import a_pause, a_run, a_thread, add, an_event

FULL = ThreadRecord(
    thread_id="full",
    status=ThreadStatus.ERROR,
    metadata='{"owner": "zoë", "n": 1.0}',
    create_time=1_700_000_000_000_001,
    update_time=1_700_000_000_000_002,
    assistant_id="agent",
    checkpoint_id="1ef-checkpoint",
    next=("action", "b"),
    values='{"big": 18446744073709551615, "x": null}',
    error=Failure("ValueError", "no — such\nthing", "action", ("sub:1", "inner:2")),
    stateless=True,
    ttl=5_000_000,
)


async def ids(
    storage: Storage, which: ThreadFilter | None = None, *, limit: int = 100
) -> list[str]:
    which = which or ThreadFilter()
    found = await storage.read(lambda r: r.threads(which, limit=limit))
    assert await storage.read(lambda r: r.count_threads(which)) == len(found)
    return [thread.thread_id for thread in found]


@pytest.mark.parametrize("thread", [a_thread(), FULL], ids=["least", "full"])
async def test_a_thread_comes_back_as_it_was_put(storage: Storage, thread: ThreadRecord) -> None:
    await add(storage, thread)
    assert await storage.read(lambda r: r.thread(thread.thread_id, values=True)) == thread


async def test_an_unknown_thread_is_none(storage: Storage) -> None:
    assert await storage.read(lambda r: r.thread("nobody", values=True)) is None


async def test_a_thread_id_must_be_new(storage: Storage) -> None:
    await add(storage, a_thread("a", metadata='{"first": true}'))
    with pytest.raises(IntegrityError):
        await add(storage, a_thread("a", metadata='{"first": false}'))
    assert await storage.read(lambda r: r.thread("a", values=True)) == a_thread(
        "a", metadata='{"first": true}'
    )


async def test_updating_nothing_sets_only_the_update_time(storage: Storage) -> None:
    await add(storage, FULL)
    await storage.write(lambda tx: tx.update_thread("full", now=9))
    assert await storage.read(lambda r: r.thread("full", values=True)) == replace(
        FULL, update_time=9
    )


async def test_each_part_of_a_thread_is_changed_by_itself(storage: Storage) -> None:
    await add(storage, a_thread("t"), a_thread("other"))
    want = replace(a_thread("t"), update_time=2, metadata='{"a": 1}')
    await storage.write(lambda tx: tx.update_thread("t", now=2, metadata='{"a": 1}'))
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    want = replace(want, update_time=3, assistant_id="agent")
    await storage.write(lambda tx: tx.update_thread("t", now=3, assistant_id="agent"))
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    want = replace(
        want, update_time=4, state_update_time=4, checkpoint_id="c1", next=("a", "b"), values="[1]"
    )
    await storage.write(lambda tx: tx.update_thread("t", now=4, head=("c1", ("a", "b"), "[1]")))
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    want = replace(
        want, update_time=5, state_update_time=5, checkpoint_id="c2", next=(), values="[2]"
    )
    await storage.write(lambda tx: tx.update_thread("t", now=5, head=("c2", (), "[2]")))
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    want = replace(want, update_time=5, breakpoints='[{"node": "a"}]', ttl=0)
    await storage.write(
        lambda tx: tx.update_thread("t", now=5, breakpoints='[{"node": "a"}]', ttl=0)
    )
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    want = replace(want, update_time=6, state_update_time=6, checkpoint_id="", next=(), values=None)
    await storage.write(lambda tx: tx.update_thread("t", now=6, head=("", (), None)))
    assert await storage.read(lambda r: r.thread("t", values=True)) == want
    assert await storage.read(lambda r: r.thread("other", values=True)) == a_thread("other")


async def test_the_error_goes_with_the_status(storage: Storage) -> None:
    failure = Failure("KeyError", "'x'", "node", ("sub:1",))
    await add(storage, a_thread("t"))
    await storage.write(
        lambda tx: tx.update_thread("t", now=2, status=ThreadStatus.ERROR, error=failure)
    )
    want = replace(a_thread("t"), update_time=2, status=ThreadStatus.ERROR, error=failure)
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    await storage.write(lambda tx: tx.update_thread("t", now=3, metadata='{"kept": 1}'))
    want = replace(want, update_time=3, metadata='{"kept": 1}')
    assert await storage.read(lambda r: r.thread("t", values=True)) == want

    await storage.write(lambda tx: tx.update_thread("t", now=4, status=ThreadStatus.IDLE))
    want = replace(want, update_time=4, status=ThreadStatus.IDLE, error=None)
    assert await storage.read(lambda r: r.thread("t", values=True)) == want


async def test_updating_an_unknown_thread_changes_nothing(storage: Storage) -> None:
    await storage.write(lambda tx: tx.update_thread("t", now=2, head=("c", (), "{}")))
    assert await storage.read(lambda r: r.thread("t", values=True)) is None


async def test_deleting_a_thread_deletes_all_that_is_its(storage: Storage) -> None:
    for name in ("t", "other"):
        await add(
            storage,
            a_thread(name, values="{}"),
            a_run(f"{name}-run", name),
            a_pause(f"{name}-pause", name, run_id=f"{name}-run"),
            an_event(1, f"{name}-run"),
        )

    assert await storage.write(lambda tx: tx.delete_thread("t")) is True

    assert await storage.read(lambda r: r.thread("t", values=True)) is None
    assert await storage.read(lambda r: r.run("t-run")) is None
    assert await storage.read(lambda r: r.events("t-run", after=0, limit=9)) == []
    assert await storage.read(lambda r: r.pauses_of_run("t-run")) == []
    assert await storage.read(lambda r: r.thread("other", values=True)) == a_thread(
        "other", values="{}"
    )
    assert len(await storage.read(lambda r: r.events("other-run", after=0, limit=9))) == 1
    assert len(await storage.read(lambda r: r.open_pauses("other"))) == 1


async def test_deleting_an_unknown_thread_says_so(storage: Storage) -> None:
    assert await storage.write(lambda tx: tx.delete_thread("t")) is False


async def test_a_deleted_id_starts_afresh(storage: Storage) -> None:
    await add(storage, a_thread("t", values='{"old": 1}'), a_run("run", "t"))
    await storage.write(lambda tx: tx.delete_thread("t"))
    await add(storage, a_thread("t"))
    assert await storage.read(lambda r: r.thread("t", values=True)) == a_thread("t")
    assert await storage.read(lambda r: r.runs("t", limit=9)) == []


async def test_threads_are_listed_newest_first_then_by_id_descending(storage: Storage) -> None:
    for thread_id, create_time in [("b", 5), ("d", 4), ("a", 5), ("c", 5), ("e", 6)]:
        await add(storage, a_thread(thread_id, create_time=create_time))
    assert await ids(storage) == ["e", "c", "b", "a", "d"]


async def test_a_list_leaves_the_values_out_and_nothing_else(storage: Storage) -> None:
    thread = replace(FULL, stateless=False)
    await add(storage, thread)
    found = await storage.read(lambda r: r.threads(ThreadFilter(), limit=9))
    assert found == [replace(thread, values=None)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
@pytest.mark.parametrize(
    "which",
    [ThreadFilter(), ThreadFilter(statuses=(ThreadStatus.IDLE, ThreadStatus.BUSY))],
    ids=["all", "two statuses"],
)
async def test_pages_join_up_also_where_create_times_are_equal(
    storage: Storage, size: int, which: ThreadFilter
) -> None:
    statuses = (ThreadStatus.IDLE, ThreadStatus.BUSY)
    await add(
        storage,
        *(
            a_thread(f"{number:02}", create_time=number // 6, status=statuses[number % 2])
            for number in range(20)
        ),
    )

    async def page(after: ThreadPosition | None) -> list[ThreadRecord]:
        return await storage.read(lambda r: r.threads(which, limit=size, after=after))

    seen: list[str] = []
    found = await page(None)
    while found:
        assert len(found) <= size
        seen += [thread.thread_id for thread in found]
        found = await page(ThreadPosition(found[-1].thread_id, found[-1].create_time))
    assert seen == [f"{number:02}" for number in reversed(range(20))]


async def test_a_new_thread_does_not_shift_the_next_page(storage: Storage) -> None:
    await add(storage, *(a_thread(name, create_time=1) for name in "abcd"))
    page = await storage.read(lambda r: r.threads(ThreadFilter(), limit=2))
    await add(storage, a_thread("z", create_time=2))
    after = ThreadPosition(page[-1].thread_id, page[-1].create_time)
    rest = await storage.read(lambda r: r.threads(ThreadFilter(), limit=9, after=after))
    assert [thread.thread_id for thread in rest] == ["b", "a"]


async def test_filters_by_status_and_assistant_are_all_to_be_true(storage: Storage) -> None:
    idle, busy, error = ThreadStatus.IDLE, ThreadStatus.BUSY, ThreadStatus.ERROR
    await add(
        storage,
        a_thread("1", status=idle, assistant_id="agent", create_time=1),
        a_thread("2", status=busy, assistant_id="agent", create_time=2),
        a_thread("3", status=error, assistant_id="other", create_time=3),
        a_thread("4", status=idle, assistant_id="other", create_time=4),
        a_thread("5", status=idle, create_time=5),
    )
    assert await ids(storage, ThreadFilter(statuses=(idle,))) == ["5", "4", "1"]
    assert await ids(storage, ThreadFilter(statuses=(idle, error))) == ["5", "4", "3", "1"]
    assert await ids(storage, ThreadFilter(statuses=(error, busy, error))) == ["3", "2"]
    assert await ids(storage, ThreadFilter(statuses=(ThreadStatus.INTERRUPTED,))) == []
    assert await ids(storage, ThreadFilter(assistant_id="agent")) == ["2", "1"]
    assert await ids(storage, ThreadFilter(statuses=(idle,), assistant_id="other")) == ["4"]


async def test_filters_by_metadata_and_values_contain(storage: Storage) -> None:
    await add(
        storage,
        a_thread("1", metadata='{"team": "a", "tags": {"x": 1, "y": [1, 2]}}', create_time=1),
        a_thread("2", metadata='{"team": "b"}', values='{"step": 1}', create_time=2),
        a_thread("3", metadata='{"team": "a"}', values='{"step": 2, "on": true}', create_time=3),
    )
    assert await ids(storage, ThreadFilter(metadata='{"team": "a"}')) == ["3", "1"]
    assert await ids(storage, ThreadFilter(metadata='{"tags": {"y": [1, 2]}}')) == ["1"]
    assert await ids(storage, ThreadFilter(metadata='{"tags": {"y": [1]}}')) == []
    assert await ids(storage, ThreadFilter(metadata="{}")) == ["3", "2", "1"]
    assert await ids(storage, ThreadFilter(values="{}")) == ["3", "2"]
    assert await ids(storage, ThreadFilter(values='{"on": true}')) == ["3"]
    assert await ids(storage, ThreadFilter(values='{"on": 1}')) == []
    both = ThreadFilter(metadata='{"team": "a"}', values='{"step": 2}')
    assert await ids(storage, both) == ["3"]
    both = ThreadFilter(metadata='{"team": "b"}', values='{"step": 2}')
    assert await ids(storage, both) == []


@pytest.mark.parametrize("text", ["[1]", "null", "{", "1"])
async def test_a_filter_that_is_no_json_object_is_refused(storage: Storage, text: str) -> None:
    with pytest.raises(ValueError, match=r"ThreadFilter.metadata must be a JSON object"):
        await ids(storage, ThreadFilter(metadata=text))
    with pytest.raises(ValueError, match=r"ThreadFilter.values must be a JSON object"):
        await storage.read(lambda r: r.count_threads(ThreadFilter(values=text)))


async def test_threads_of_stateless_runs_never_match(storage: Storage) -> None:
    await add(
        storage,
        a_thread("kept", values="{}"),
        a_thread("gone", values="{}", assistant_id="agent", stateless=True),
    )
    assert await ids(storage) == ["kept"]
    assert await ids(storage, ThreadFilter(statuses=tuple(ThreadStatus))) == ["kept"]
    assert await ids(storage, ThreadFilter(assistant_id="agent")) == []
    assert await ids(storage, ThreadFilter(metadata="{}", values="{}")) == ["kept"]


async def test_a_limit_holds(storage: Storage) -> None:
    await add(storage, a_thread("a", create_time=1), a_thread("b", create_time=2))
    which = ThreadFilter(statuses=(ThreadStatus.IDLE, ThreadStatus.ERROR))
    found = await storage.read(lambda r: r.threads(which, limit=1))
    assert [thread.thread_id for thread in found] == ["b"]
    assert await storage.read(lambda r: r.count_threads(which)) == 2


async def test_a_pending_run_needs_its_thread(storage: Storage) -> None:
    with pytest.raises(IntegrityError):
        await add(storage, a_run("run", "nobody", status=RunStatus.PENDING))
    assert await storage.read(lambda r: r.run("run")) is None


def _time_of(thread: ThreadRecord, order: ThreadOrder) -> int | None:
    match order:
        case ThreadOrder.UPDATE_TIME:
            return thread.update_time
        case ThreadOrder.STATE_UPDATE_TIME:
            return thread.state_update_time
        case _:
            return thread.create_time


MIXED = [
    a_thread(
        f"{number:02}",
        create_time=number // 6,
        update_time=number % 4,
        state_update_time=None if number % 3 == 0 else number % 5,
        status=(ThreadStatus.IDLE, ThreadStatus.BUSY, ThreadStatus.ERROR)[number % 3],
        assistant_id=f"agent{number % 2}",
    )
    for number in range(24)
]

#: What comes first, for each order; those without a time come last in any case.
KEYS: dict[ThreadOrder, Callable[[ThreadRecord], tuple[Any, ...]]] = {
    ThreadOrder.CREATE_TIME: lambda t: (t.create_time, t.thread_id),
    ThreadOrder.UPDATE_TIME: lambda t: (t.update_time, t.thread_id),
    ThreadOrder.STATE_UPDATE_TIME: lambda t: (t.state_update_time or 0, t.thread_id),
    ThreadOrder.THREAD_ID: lambda t: (t.thread_id,),
    ThreadOrder.STATUS: lambda t: (t.status, t.create_time, t.thread_id),
}


@pytest.mark.parametrize("ascending", [False, True], ids=["descending", "ascending"])
@pytest.mark.parametrize("order", list(ThreadOrder))
@pytest.mark.parametrize(
    "which",
    [
        ThreadFilter(),
        ThreadFilter(statuses=(ThreadStatus.ERROR, ThreadStatus.IDLE), assistant_id="agent1"),
        ThreadFilter(thread_ids=tuple(f"{number:02}" for number in range(0, 40, 3))),
    ],
    ids=["all", "some statuses", "some ids"],
)
async def test_pages_join_up_in_each_order(
    storage: Storage, which: ThreadFilter, order: ThreadOrder, ascending: bool
) -> None:
    await add(storage, *MIXED, a_thread("stateless", stateless=True))
    matching = [
        thread
        for thread in MIXED
        if (not which.statuses or thread.status in which.statuses)
        and which.assistant_id in ("", thread.assistant_id)
        and (not which.thread_ids or thread.thread_id in which.thread_ids)
    ]
    wanted = sorted(matching, key=KEYS[order], reverse=not ascending)
    if order is ThreadOrder.STATE_UPDATE_TIME:
        wanted.sort(key=lambda thread: thread.state_update_time is None)
    sort = ThreadSort(order, ascending)
    for size in (1, 3, 8, 24, 25):
        seen: list[ThreadRecord] = []
        after = None
        while True:
            found = await storage.read(
                lambda r, s=size, after=after: r.threads(which, limit=s, sort=sort, after=after)  # type: ignore[misc]
            )
            assert len(found) <= size
            seen += found
            if len(found) < size:
                break
            last = found[-1]
            after = ThreadPosition(last.thread_id, _time_of(last, order), last.status)
        assert seen == wanted
    assert await storage.read(lambda r: r.count_threads(which)) == len(wanted)


async def test_a_thousand_ids_are_looked_for_at_once(storage: Storage) -> None:
    await add(storage, a_thread("0"), a_thread("999"), a_thread("1000"))
    which = ThreadFilter(
        thread_ids=tuple(map(str, range(1000))), statuses=(ThreadStatus.IDLE, ThreadStatus.ERROR)
    )
    assert await ids(storage, which) == ["999", "0"]
    nobody = ThreadFilter(thread_ids=("a\0b",))
    assert await ids(storage, nobody) == []


async def test_the_values_are_read_of_those_that_have_some(storage: Storage) -> None:
    await add(storage, a_thread("a", values="[1]"), a_thread("b"), a_thread("c", values="null"))
    found = await storage.read(lambda r: dict(r.values_of(["c", "a", "b", "nobody"])))
    assert found == {"a": "[1]", "c": "null"}
