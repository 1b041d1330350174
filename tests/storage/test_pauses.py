"""Contract: pauses are kept in order, and are resolved once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graphwire_server.storage.interface import IntegrityError, Storage
from graphwire_server.storage.records import PauseKind, PauseRecord, PauseStatus

from .builders import a_pause, a_run, a_thread, add

FULL = PauseRecord(
    pause_id="full",
    thread_id="thread",
    run_id="run",
    kind=PauseKind.INTERRUPT,
    node="ask",
    namespace=("sub:1", "inner:2"),
    checkpoint_id="c1",
    create_time=1_700_000_000_000_001,
    interrupt_id="i1",
    task_id="t1",
    value='{"question": "ok?"}',
    response_schema='{"type": "string"}',
    status=PauseStatus.RESUMED,
    resolved_by_run_id="next",
    resolve_time=1_700_000_000_000_002,
    answer='"yes"',
    task_input='{"n": 1}',
)


@pytest.mark.parametrize("pause", [a_pause(), FULL], ids=["least", "full"])
async def test_a_pause_comes_back_as_it_was_put(storage: Storage, pause: PauseRecord) -> None:
    await add(storage, a_thread(), pause)
    assert await storage.read(lambda r: r.pauses_of_run("run")) == [pause]
    found = await storage.read(lambda r: r.pauses_of_tasks("thread", {pause.task_id}))
    assert found == [pause]


async def test_pauses_come_in_the_order_of_their_making(storage: Storage) -> None:
    pauses = [a_pause(name, create_time=9 - number) for number, name in enumerate("cabd")]
    await add(storage, a_thread())
    await storage.write(lambda tx: tx.insert_pauses(pauses))
    assert await storage.read(lambda r: r.open_pauses("thread")) == pauses
    assert await storage.read(lambda r: r.pauses_of_tasks("thread", [""])) == pauses
    assert await storage.read(lambda r: r.pauses_of_run("run")) == pauses


async def test_open_pauses_are_found_by_thread(storage: Storage) -> None:
    await add(storage, *(a_thread(name) for name in "abc"))
    await add(
        storage,
        a_pause("a1", "a"),
        a_pause("b1", "b"),
        a_pause("a2", "a"),
        a_pause("a3", "a", status=PauseStatus.SUPERSEDED),
        a_pause("c1", "c", status=PauseStatus.RESUMED),
    )
    a = [a_pause("a1", "a"), a_pause("a2", "a")]
    b = [a_pause("b1", "b")]
    assert await storage.read(lambda r: r.open_pauses("a")) == a
    assert await storage.read(lambda r: r.open_pauses("c")) == []
    found = await storage.read(lambda r: r.pauses(["c", "b", "nobody", "a"]))
    assert found == {"a": a, "b": b}
    assert await storage.read(lambda r: r.pauses([])) == {}


async def test_open_pauses_of_very_many_threads_are_found(storage: Storage) -> None:
    names = [f"{number:04}" for number in range(1200)]
    await add(storage, *(a_thread(name) for name in names))
    await add(storage, *(a_pause(f"p{name}", name) for name in names))
    found = await storage.read(lambda r: r.pauses(names))
    assert found == {name: [a_pause(f"p{name}", name)] for name in names}


async def test_pauses_of_tasks_and_of_a_run_include_resolved_ones(
    storage: Storage,
) -> None:
    await add(storage, a_thread("a"), a_thread("b"))
    pauses = [
        a_pause("1", "a", run_id="r1", task_id="t1", status=PauseStatus.RESUMED),
        a_pause("2", "a", run_id="r1", task_id="t2", status=PauseStatus.SUPERSEDED),
        a_pause("3", "a", run_id="r2", task_id="t1"),
        a_pause("4", "b", run_id="r3", task_id="t1"),
        a_pause("5", "a", run_id="r4", task_id="t3"),
    ]
    await add(storage, *pauses)
    find = storage.read
    assert await find(lambda r: r.pauses_of_tasks("a", ["t1"])) == [pauses[0], pauses[2]]
    assert await find(lambda r: r.pauses_of_tasks("a", {"t2", "t1"})) == pauses[:3]
    assert await find(lambda r: r.pauses_of_tasks("a", ["t9"])) == []
    assert await find(lambda r: r.pauses_of_tasks("a", ())) == []
    assert await storage.read(lambda r: r.pauses_of_run("r1")) == pauses[:2]
    assert await storage.read(lambda r: r.pauses_of_run("r9")) == []


async def test_a_pause_id_must_be_new_even_once_resolved(storage: Storage) -> None:
    await add(storage, a_thread(), a_pause("p", status=PauseStatus.RESUMED))
    with pytest.raises(IntegrityError):
        await add(storage, a_pause("p"))


async def test_a_pause_needs_its_thread(storage: Storage) -> None:
    with pytest.raises(IntegrityError):
        await add(storage, a_pause("p", "nobody"))


async def test_a_pause_is_resolved_once(storage: Storage) -> None:
    await add(storage, a_thread(), a_run(), a_pause("p"), a_pause("q"))
    assert await storage.write(
        lambda tx: tx.resolve_pause("p", PauseStatus.RESUMED, now=7, by_run_id="n", answer="[1]")
    )
    resolved = replace(
        a_pause("p"),
        status=PauseStatus.RESUMED,
        resolve_time=7,
        resolved_by_run_id="n",
        answer="[1]",
    )
    assert not await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.RESUMED, now=8))
    assert not await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.SUPERSEDED, now=8))
    found = await storage.read(lambda r: r.pauses_of_run("run"))
    assert found == [resolved, a_pause("q")]

    assert await storage.write(lambda tx: tx.resolve_pause("q", PauseStatus.SUPERSEDED, now=9))
    superseded = replace(a_pause("q"), status=PauseStatus.SUPERSEDED, resolve_time=9)
    assert await storage.read(lambda r: r.pauses_of_run("run")) == [resolved, superseded]


async def test_resolving_an_unknown_pause_says_so(storage: Storage) -> None:
    resolved = await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.RESUMED, now=1))
    assert resolved is False


async def test_a_pause_is_not_resolved_to_open(storage: Storage) -> None:
    await add(storage, a_thread(), a_pause("p"))
    with pytest.raises(ValueError, match="RESUMED, SUPERSEDED or CANCELLED"):
        await storage.write(lambda tx: tx.resolve_pause("p", PauseStatus.OPEN, now=1))
    assert await storage.read(lambda r: r.open_pauses("thread")) == [a_pause("p")]


async def test_a_review_is_kept_with_the_tool_calls_that_it_is_of(storage: Storage) -> None:
    calls = '[{"id":"a","name":"refund","args":{"amount":5}}]'
    review = '[{"tool_call_id":"a","decision":"edit","args":{"amount":2}}]'
    await add(storage, a_thread(), a_pause(tool_calls=calls, task_id="t"))
    resumed = PauseStatus.RESUMED

    async def resolve(text: str) -> bool:
        return await storage.write(
            lambda tx: tx.resolve_pause("pause", resumed, now=5, by_run_id="next", review=text)
        )

    assert await resolve(review)
    assert not await resolve("[]")
    (found,) = await storage.read(lambda r: r.pauses_of_tasks("thread", ["t"]))
    assert (found.tool_calls, found.review, found.status) == (calls, review, resumed)
