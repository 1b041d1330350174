"""Contract: a copy of a thread has what it is made of, and what is inherited is kept."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.storage.access import Access
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointFilter,
    CheckpointRecord,
    WriteRecord,
)
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import (
    Amount,
    Inheritance,
    PauseFilter,
    PauseKind,
    PauseStatus,
    RunStatus,
    ThreadStatus,
    ThreadStorage,
)
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.schema import migrate
from graphwire_server.storage.sqlite.session import SqliteSession

from .builders import a_pause, a_run, a_thread, add, an_event

THREAD = a_thread(
    "thread",
    status=ThreadStatus.INTERRUPTED,
    metadata='{"a": 1}',
    assistant_id="agent",
    checkpoint_id="c2",
    next=("x",),
    values='{"log": []}',
    ttl=7,
    breakpoints='[{"node": "x"}]',
    state_update_time=5,
)
COPY = replace(THREAD, thread_id="copy", create_time=9, update_time=9, values=None)

QUESTION: dict[str, Any] = {
    "kind": PauseKind.INTERRUPT,
    "status": PauseStatus.RESUMED,
    "answer": '"yes"',
}


def checkpoint(thread_id: str, checkpoint_id: str, namespace: str = "") -> CheckpointRecord:
    return CheckpointRecord(thread_id, namespace, checkpoint_id, "", "run", '{"step": 1}', b"body")


def write(tx: Transaction, thread_id: str) -> None:
    """Writes checkpoints of two namespaces, with a value and what a task wrote."""
    for namespace, checkpoint_id in (("", "c1"), ("", "c2"), ("sub:1", "s1")):
        value = ChannelValueRecord(thread_id, namespace, "log", checkpoint_id, "", b"value")
        tx.put_checkpoint(checkpoint(thread_id, checkpoint_id, namespace), [value])
    tx.put_checkpoint_writes([WriteRecord(thread_id, "sub:1", "s1", "task", "path", b"w")])


def copy(tx: Transaction) -> None:
    numbers = itertools.count(1)
    tx.copy_thread("thread", COPY, lambda: f"new-{next(numbers)}")


async def test_a_copy_has_the_values_and_the_checkpoints(storage: Storage) -> None:
    await add(storage, THREAD, a_thread("other"))
    await storage.write(lambda tx: write(tx, "thread"))
    await storage.write(lambda tx: write(tx, "other"))
    await storage.write(copy)
    found = await storage.read(lambda r: r.thread("copy", values=True))
    assert found == replace(COPY, values=THREAD.values)
    assert await storage.read(lambda r: r.thread("thread", values=True)) == THREAD

    for namespace, head in (("", "c2"), ("sub:1", "s1")):
        record = await storage.read(lambda r, n=namespace: r.checkpoint("copy", n))  # type: ignore[misc]
        # It is none of the run's: what is deleted for that run stays in the copy.
        assert replace(record, number=0) == replace(checkpoint("copy", head, namespace), run_id="")
    assert await storage.read(lambda r: r.channel_values("copy", "", [("log", "c1")])) == [
        ChannelValueRecord("copy", "", "log", "c1", "", b"value")
    ]
    assert await storage.read(lambda r: r.checkpoint_writes("copy", "sub:1", ["s1"])) == [
        WriteRecord("copy", "sub:1", "s1", "task", "path", b"w")
    ]
    extents = [await storage.read(lambda r, t=t: r.extent(t)) for t in ("copy", "other")]  # type: ignore[misc]
    assert [extent.checkpoints for extent in extents] == [3, 3]


async def test_a_copy_has_the_resolved_pauses_under_new_ids(storage: Storage) -> None:
    resumed = a_pause(
        "one",
        task_id="t1",
        namespace=("sub:1",),
        status=PauseStatus.RESUMED,
        resolved_by_run_id="run-2",
        resolve_time=3,
        answer='"yes"',
        assistant_id="agent",
        breakpoints='[{"node": "x"}]',
        tool_calls='[{"id": "c"}]',
        expire_time=8,
        on_expiry="CANCEL",
        expiry_message="too late",
        principal="zoë",
        answered_by="bob",
        expired=True,
        review="[]",
    )
    superseded = a_pause("two", task_id="t1", status=PauseStatus.SUPERSEDED)
    await add(storage, THREAD, resumed, a_pause("open", task_id="t1"), superseded)
    await storage.write(copy)
    found = await storage.read(lambda r: r.pauses_of_tasks("copy", ["t1"]))
    assert found == [
        replace(resumed, pause_id="new-1", thread_id="copy", run_id=""),
        replace(superseded, pause_id="new-2", thread_id="copy", run_id=""),
    ]
    assert len(await storage.read(lambda r: r.pauses_of_tasks("thread", ["t1"]))) == 3


async def test_a_copy_is_to_be_pruned_if_the_thread_is(storage: Storage) -> None:
    await add(storage, THREAD)
    await storage.write(
        lambda tx: tx.update_thread("thread", now=1, status=ThreadStatus.IDLE, head=("c", (), None))
    )
    await storage.write(lambda tx: tx.copy_thread("thread", COPY, lambda: "x"))
    await storage.write(lambda tx: tx.mark_pruned("thread"))
    other = replace(COPY, thread_id="copy of pruned")
    await storage.write(lambda tx: tx.copy_thread("thread", other, lambda: "x"))
    assert await storage.read(lambda r: r.unpruned_threads(limit=9)) == ["copy"]


async def test_only_answers_of_runs_that_paused_again_stand(storage: Storage) -> None:
    await add(storage, THREAD)
    for run_id, status in (("went on", RunStatus.INTERRUPTED), ("failed", RunStatus.FAILED)):
        pause = a_pause(
            f"p {run_id}", interrupt_id=f"i {run_id}", resolved_by_run_id=run_id, **QUESTION
        )
        await add(storage, a_run(run_id, status=status, start_time=1, end_time=2), pause)
    await add(
        storage,
        a_pause("elsewhere", interrupt_id="i", checkpoint_id="c9", resolved_by_run_id="went on",
                **QUESTION),
        a_pause("breakpoint", status=PauseStatus.RESUMED, resolved_by_run_id="went on"),
        a_pause("of nobody", interrupt_id="n", resolved_by_run_id="gone", **QUESTION),
    )  # fmt: skip

    async def standing(thread_id: str) -> list[tuple[str, str]]:
        return await storage.read(lambda r: r.standing_answers(thread_id, "checkpoint"))

    assert await standing("thread") == [("i went on", '"yes"')]
    await storage.write(copy)
    for run_id in ("went on", "failed"):
        assert await storage.write(lambda tx, run_id=run_id: tx.delete_run(run_id))  # type: ignore[misc]
        assert await standing("thread") == [("i went on", '"yes"')]
        assert await standing("copy") == [("i went on", '"yes"')]
    await storage.write(lambda tx: tx.delete_thread("thread"))
    assert await standing("copy") == [("i went on", '"yes"')]


async def test_the_pauses_of_a_copy_belong_to_whom_the_copy_does(storage: Storage) -> None:
    await add(storage, replace(THREAD, owner="ada"))
    await storage.write(lambda tx: tx.insert_pauses([a_pause("one", status=PauseStatus.RESUMED)]))
    copied = replace(COPY, owner="bob")
    await storage.write(lambda tx: tx.copy_thread("thread", copied, lambda: "new"))
    for owner, pause_ids in (("ada", ["one"]), ("bob", ["new"]), ("eve", [])):
        which = PauseFilter(access=Access(owner=owner), statuses=(PauseStatus.RESUMED,))
        found = await storage.read(lambda r, w=which: r.list_pauses(w, limit=9))  # type: ignore[misc]
        assert [pause.pause_id for _, pause in found] == pause_ids


async def test_what_is_inherited_is_kept_with_the_thread(storage: Storage) -> None:
    await add(storage, THREAD)
    assert await storage.read(lambda r: r.inheritance("thread")) is None
    first = Inheritance(3, '{"a": 1}', "[]", "agent")
    second = Inheritance(4, '{"b": 1}', '[{"node": "x"}]', "other")
    for inheritance in (first, second):
        await storage.write(lambda tx, i=inheritance: tx.put_inheritance("thread", i))  # type: ignore[misc]
        assert await storage.read(lambda r: r.inheritance("thread")) == inheritance
    await storage.write(lambda tx: tx.delete_thread("thread"))
    assert await storage.read(lambda r: r.inheritance("thread")) is None


@pytest.mark.parametrize("table", ["gw_pauses", "gw_breakpoint_hits", "gw_thread_states"])
def test_no_column_is_left_out_of_a_copy(table: str) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as sqlite:
        migrate(sqlite, Path("memory"), load_migrations())
        sqlite.execute("BEGIN")
        tx = SqlTransaction(SqliteSession(sqlite, Path("memory")))
        tx.insert_thread(THREAD)
        tx.insert_pauses([a_pause("one", status=PauseStatus.RESUMED)])
        sqlite.execute("INSERT INTO gw_breakpoint_hits VALUES ('thread', 'breakpoint', 'task')")
        # What no default is; the others have a test of their own.
        own = {"number", "pause_id", "thread_id", "answer_stands", "owner", "run_id"}
        columns = [row[1] for row in sqlite.execute(f"PRAGMA table_info({table})")]
        rest = [column for column in columns if column not in own]
        sqlite.execute(f"UPDATE {table} SET " + ", ".join(f"{c} = '{c}'" for c in rest))
        copy(tx)
        select = f"SELECT {', '.join(rest)} FROM {table} WHERE thread_id = ?"
        for thread_id in ("thread", "copy"):
            assert sqlite.execute(select, (thread_id,)).fetchall() == [tuple(rest)]


async def test_what_a_thread_keeps_is_counted_and_measured(storage: Storage) -> None:
    await add(storage, THREAD, a_thread("other"))
    nothing = ThreadStorage(Amount(), {}, Amount(), Amount(), 0)
    assert await storage.read(lambda r: r.thread_storage("thread")) == nothing
    for thread_id in ("thread", "other"):
        await storage.write(lambda tx, t=thread_id: write(tx, t))  # type: ignore[misc]
        await add(
            storage, a_run(f"run of {thread_id}", thread_id), a_run(f"2 of {thread_id}", thread_id)
        )
        await add(storage, an_event(1, f"run of {thread_id}", b"12345"))
    more = ChannelValueRecord("thread", "", "n", "1", "", b"\0\xff")
    await storage.write(lambda tx: tx.put_checkpoint(checkpoint("thread", "c3"), [more]))
    assert await storage.read(lambda r: r.thread_storage("thread")) == ThreadStorage(
        checkpoints=Amount(4, 4 * len('{"step": 1}body')),
        channels={"log": Amount(3, 3 * len("value")), "n": Amount(1, 2)},
        writes=Amount(1, 1),
        events=Amount(1, 5),
        runs=2,
    )


async def test_checkpoints_are_found_by_what_their_metadata_contains(storage: Storage) -> None:
    texts = [
        '{"step": 1, "source": "loop"}',
        '{"step": 2, "extra": NaN}',
        '{"step": 3, "a": {"b": 1}}',
    ]
    for number, text in enumerate(texts):
        record = replace(checkpoint("thread", f"c{number}"), metadata=text)
        await storage.write(lambda tx, record=record: tx.put_checkpoint(record, []))  # type: ignore[misc]

    async def found(metadata: str, before: str = "") -> list[str]:
        which = CheckpointFilter("thread", "", before=before, metadata=metadata)
        listed = await storage.read(lambda r: r.checkpoints(which, limit=9))
        return [each.checkpoint_id for each in listed]

    assert await found('{"step": 1.0}') == ["c0"]
    assert await found('{"a": {}}') == ["c2"]
    # What is no JSON contains nothing.
    assert await found("{}") == ["c2", "c0"]
    assert await found("{}", before="c2") == ["c0"]
    assert await found('{"step": "1"}') == []
