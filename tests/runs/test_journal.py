"""The journal of a run: what is made is kept in its order, together, and under the run's lease."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from graphwire.v1 import payload_pb2
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.runs.events import end_event
from graphwire_server.runs.journal import Journal
from graphwire_server.storage.checkpoints.records import CheckpointRecord, WriteRecord
from graphwire_server.storage.interface import LeaseLostError, StorageError
from graphwire_server.storage.records import RunStatus

from tests.runs.journals import HeldStorage, end, ends, piece, tick

CHILD = ("child:1",)


def connected(journal: Journal, **given: Any) -> None:
    """Connects a journal as an execution does whose every namespace is behind doors."""
    filled: dict[str, Any] = {
        "gated": lambda namespace: True,
        "absorbs_writes": False,
        "waits": True,
        "fresh": False,
    }
    journal.connect(**(filled | given))


def a_checkpoint(name: str, namespace: str = "", thread_id: str = "run") -> CheckpointRecord:
    return CheckpointRecord(thread_id, namespace, name, "", "run", "{}", b"")


def checkpoint(name: str) -> dict[str, Any]:
    """A checkpoint as LangGraph has it, as far as anybody looks."""
    return {"id": name}


def writes(name: str, namespace: str = "", thread_id: str = "run") -> list[WriteRecord]:
    return [WriteRecord(thread_id, namespace, "c", name, "", b"\x90")]


def values(text: str, *namespace: str) -> pb.RunEvent:
    """The values of a step."""
    event = pb.ValuesEvent(values=payload_pb2.Payload(json=text))
    return pb.RunEvent(namespace=namespace, values=event)


async def kinds(storage: HeldStorage) -> list[str | None]:
    """The kinds of all events that are kept."""
    records = await storage.read(lambda db: db.events("run", after=0, limit=100))
    return [pb.RunEvent.FromString(record.data).WhichOneof("event") for record in records]


async def checkpoints(storage: HeldStorage, namespace: str = "", thread_id: str = "run") -> str:
    """The id of the newest checkpoint that is kept."""
    found = await storage.read(lambda db: db.checkpoint(thread_id, namespace))
    return found.checkpoint_id if found is not None else ""


async def absorbed(storage: HeldStorage) -> bool:
    run = await storage.read(lambda db: db.run("run"))
    assert run is not None
    return run.absorbed


# --- commits ---


async def test_what_gathers_while_the_disk_is_busy_is_committed_together(
    held_storage: HeldStorage, journal: Journal
) -> None:
    held_storage.hold()
    journal.append(tick(0))
    first = asyncio.create_task(journal.durable())
    await held_storage.reached()
    for number in range(1, 50):
        journal.append(tick(number))
    held_storage.release()
    await first
    await journal.durable()
    assert held_storage.writes == 2
    assert await held_storage.events() == [(n + 1, str(n)) for n in range(50)]


async def test_what_was_made_is_committed_a_moment_later_without_anybody_waiting(
    held_storage: HeldStorage, journal: Journal
) -> None:
    journal.append(tick(1))
    journal.append(tick(2))
    async with asyncio.timeout(10):
        while not await held_storage.events():
            await asyncio.sleep(0.001)
    assert await held_storage.events() == [(1, "1"), (2, "2")]
    assert held_storage.writes == 1


async def test_where_nothing_was_made_there_is_nothing_to_wait_for(
    held_storage: HeldStorage, journal: Journal
) -> None:
    await journal.durable()
    assert held_storage.writes == 0


async def test_what_a_task_wrote_and_the_event_that_tells_of_it_are_in_one_commit(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal)
    held_storage.hold()
    await journal.put_writes(writes("task"))
    journal.append(tick(1))
    held_storage.failure = StorageError("the disk is full")
    held_storage.release()
    with pytest.raises(StorageError):
        await journal.durable()
    assert held_storage.writes == 1
    assert await held_storage.events() == []
    assert await held_storage.read(lambda db: db.checkpoint_writes("run", "", ["c"])) == []


async def test_pieces_of_a_message_are_joined_while_they_wait_and_never_after(
    held_storage: HeldStorage, journal: Journal
) -> None:
    start = pb.MessageStart(node="speak")
    journal.append(piece("one", start=start))
    await journal.durable()
    journal.append(piece(" two"))
    held_storage.hold()
    waiting = asyncio.create_task(journal.durable())
    await held_storage.reached()
    for text in (" three", " four"):
        journal.append(piece(text))
    journal.append(piece("", usage=pb.Usage(total_tokens=4), last=True))
    journal.append(piece("next", "n", start=start))
    journal.append(piece(" one", "n"))
    journal.append(tick(1))
    journal.append(piece("!", "n"))
    elsewhere = piece("?", "n")
    elsewhere.namespace.append("child:1")
    journal.append(elsewhere)
    held_storage.release()
    await waiting
    await journal.durable()
    records = await held_storage.read(lambda db: db.events("run", after=0, limit=20))
    shown = [pb.RunEvent.FromString(record.data) for record in records]
    assert [
        (e.message.message_id, "".join(c.text for c in e.message.content), e.message.last)
        for e in shown
    ] == [
        ("m", "one", False),
        ("m", " two", False),
        ("m", " three four", True),
        ("n", "next one", False),
        ("", "", False),  # the tick
        ("n", "!", False),
        ("n", "?", False),
    ]
    assert [e.message.HasField("start") for e in shown[:4]] == [True, False, False, True]
    assert shown[2].message.usage.total_tokens == 4


# --- steps ---


async def test_the_values_of_a_step_wait_for_its_checkpoint(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal)
    journal.step_starts(())
    journal.append(tick(1))
    journal.append(values("{}"))
    journal.append(tick(2))
    await journal.durable()
    assert await kinds(held_storage) == ["custom"]

    journal.put_checkpoint(a_checkpoint("c1"), []).close()
    await journal.durable()
    assert await kinds(held_storage) == ["custom", "values", "custom"]
    assert await checkpoints(held_storage) == "c1"
    assert held_storage.writes == 2


async def test_values_that_no_checkpoint_follows_wait_for_none(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal, gated=lambda namespace: not namespace)
    # Those with which a run goes on: no step was under way.
    journal.append(values("{}"))
    # Those of a subgraph that keeps no checkpoints.
    journal.step_starts(CHILD)
    journal.append(values("{}", *CHILD))
    await journal.durable()
    assert await kinds(held_storage) == ["values", "values"]


async def test_values_whose_checkpoint_does_not_come_wait_until_the_next_step_or_the_end(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal)
    journal.step_starts(())
    journal.append(values("1"))
    journal.step_starts(())
    await journal.durable()
    assert await kinds(held_storage) == ["values"]
    journal.append(values("2"))
    await end(journal)
    assert await kinds(held_storage) == ["values", "values", "end"]


async def test_the_steps_of_each_graph_wait_for_their_own_checkpoints(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal)
    journal.step_starts(())
    journal.step_starts(CHILD)
    journal.append(values("1", *CHILD))
    journal.put_checkpoint(a_checkpoint("c1"), []).close()
    await journal.durable()
    assert await checkpoints(held_storage) == "c1"
    assert await kinds(held_storage) == []
    journal.put_checkpoint(a_checkpoint("c2", "child:1"), []).close()
    await journal.durable()
    assert await kinds(held_storage) == ["values"]
    assert await checkpoints(held_storage, "child:1") == "c2"


async def test_where_the_run_stands_at_its_end_need_not_be_read_again(journal: Journal) -> None:
    connected(journal)
    for thread_id, namespace, name in (
        ("run", "", "c1"),
        ("run", "child:1", "c2"),
        ("other", "", "c3"),
    ):
        assert journal.annotations(thread_id, namespace, checkpoint(name), {"source": "loop"}) == {}
    assert journal.head == checkpoint("c1")


async def test_only_on_a_new_thread_it_is_known_that_there_is_no_checkpoint(
    journal: Journal,
) -> None:
    assert not journal.knows_none("run", "")
    connected(journal, fresh=True)
    assert journal.knows_none("run", "")
    assert journal.knows_none("run", "child:1")
    assert not journal.knows_none("other", "")
    journal.put_checkpoint(a_checkpoint("c1"), []).close()
    assert not journal.knows_none("run", "")
    assert journal.knows_none("run", "child:1")
    await journal.settled()


@pytest.mark.parametrize(
    ("given", "thread_id", "waits"),
    [
        ({}, "run", False),
        ({"gated": lambda namespace: False}, "run", True),
        ({"gated": lambda namespace: False, "waits": False}, "run", False),
        # A graph that a node calls on a thread of its own.
        ({}, "elsewhere", True),
    ],
    ids=["behind doors", "called by a node", "not SYNC", "another thread"],
)
async def test_only_where_no_door_follows_does_the_engine_wait_for_a_checkpoint(
    held_storage: HeldStorage,
    journal: Journal,
    given: dict[str, Any],
    thread_id: str,
    waits: bool,
) -> None:
    connected(journal, **given)
    held_storage.hold()
    puts = [
        journal.put_checkpoint(a_checkpoint("c1", thread_id=thread_id), []),
        journal.put_writes(writes("task", thread_id=thread_id)),
    ]
    tasks = [asyncio.create_task(put) for put in puts]
    done, _ = await asyncio.wait(tasks, timeout=0.05 if waits else 10)
    assert len(done) == (0 if waits else 2)
    held_storage.release()
    await asyncio.gather(*tasks)
    await journal.settled()
    assert await checkpoints(held_storage, thread_id=thread_id) == "c1"


# --- absorbing ---


async def test_input_is_absorbed_with_the_first_checkpoint_at_the_root(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal)
    journal.put_checkpoint(a_checkpoint("c0", thread_id="elsewhere"), []).close()
    journal.put_checkpoint(a_checkpoint("c0", "child:1"), []).close()
    journal.put_writes(writes("task")).close()
    await journal.durable()
    assert not await absorbed(held_storage)
    held_storage.hold()
    journal.put_checkpoint(a_checkpoint("c1"), []).close()
    held_storage.release()
    await journal.durable()
    assert await absorbed(held_storage)
    assert held_storage.writes == 2


async def test_a_command_is_absorbed_with_the_first_writes_at_the_root(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal, absorbs_writes=True)
    journal.put_writes(writes("task", "child:1")).close()
    journal.put_writes(writes("task", thread_id="elsewhere")).close()
    await journal.durable()
    assert not await absorbed(held_storage)
    journal.put_writes(writes("task")).close()
    await journal.durable()
    assert await absorbed(held_storage)


async def test_nothing_is_absorbed_before_the_execution_is_connected(
    held_storage: HeldStorage, journal: Journal
) -> None:
    journal.put_checkpoint(a_checkpoint("c1"), []).close()
    await journal.durable()
    assert not await absorbed(held_storage)


# --- failures ---


async def test_events_that_cannot_be_kept_fail_their_run_and_no_other(
    held_storage: HeldStorage, journal: Journal, open_journal: Callable[[str], Journal]
) -> None:
    journal.append(tick(1))
    await journal.durable()
    held_storage.failure = StorageError("the disk is full")
    journal.append(tick(2))
    with pytest.raises(StorageError, match="the disk is full"):
        await journal.durable()
    held_storage.failure = None
    journal.append(tick(3))
    for _ in range(2):
        with pytest.raises(StorageError, match="the disk is full"):
            await journal.durable()
    with pytest.raises(StorageError, match="the disk is full"):
        await end(journal)
    assert journal.failed
    other = open_journal("other")
    other.append(tick(1))
    await other.durable()
    assert not other.failed
    assert await held_storage.events("other") == [(1, "1")]
    assert await held_storage.events() == [(1, "1")]


@pytest.mark.parametrize("what", ["server", "run", "end"])
async def test_whoever_has_lost_the_lease_can_write_nothing(
    held_storage: HeldStorage, journal: Journal, what: str
) -> None:
    journal.append(tick(1))
    await journal.durable()
    if what == "server":
        await held_storage.write(lambda tx: tx.leave_servers("server"))
    elif what == "run":
        await held_storage.write(lambda tx: tx.hand_back("run", journal.run.lease))  # type: ignore[arg-type]
    else:
        await held_storage.write(lambda tx: tx.change_run("run", RunStatus.CANCELLED, now=2))
    before = await held_storage.read(lambda db: db.run("run"))
    journal.append(tick(2))
    with pytest.raises(LeaseLostError):
        await journal.durable()
    with pytest.raises(LeaseLostError):
        await end(journal)
    assert await held_storage.events() == [(1, "1")]
    assert await held_storage.read(lambda db: db.run("run")) == before


# --- the end ---


async def test_the_end_is_one_commit_with_all_that_was_left(
    held_storage: HeldStorage, journal: Journal
) -> None:
    connected(journal)
    journal.append(tick(1))
    journal.put_checkpoint(a_checkpoint("c1"), []).close()
    await end(journal)
    assert held_storage.writes == 1
    assert journal.ended
    assert await kinds(held_storage) == ["custom", "end"]
    assert await checkpoints(held_storage) == "c1"
    run = await held_storage.read(lambda db: db.run("run"))
    assert run is not None
    assert (run.status, run.last_sequence) == (RunStatus.SUCCEEDED, 2)


async def test_nothing_comes_after_the_end(held_storage: HeldStorage, journal: Journal) -> None:
    connected(journal, gated=lambda namespace: False)
    journal.append(tick(1))
    await end(journal)
    journal.append(tick(2))
    # A node that was not waited for, and the graph that it calls.
    with pytest.raises(LeaseLostError):
        await journal.put_checkpoint(a_checkpoint("c1"), [])
    assert await kinds(held_storage) == ["custom", "end"]
    assert await checkpoints(held_storage) == ""


async def test_the_end_can_be_tried_again_when_its_commit_has_failed(
    held_storage: HeldStorage, journal: Journal
) -> None:
    journal.append(tick(1))
    held_storage.failure = StorageError("the disk is full")
    with pytest.raises(StorageError):
        await end(journal)
    assert (journal.ended, journal.failed) == (False, False)
    held_storage.failure = None
    await journal.end(ends("run"))
    assert (journal.ended, journal.failed) == (True, False)
    assert await kinds(held_storage) == ["custom", "end"]


async def test_a_run_that_is_handed_back_has_no_last_event(
    held_storage: HeldStorage, journal: Journal
) -> None:
    journal.append(tick(1))
    lease = journal.run.lease
    assert lease is not None
    assert await journal.end(lambda tx, _: tx.hand_back("run", lease))
    assert not journal.ended
    assert await kinds(held_storage) == ["custom"]
    run = await held_storage.read(lambda db: db.run("run"))
    assert run is not None
    assert (run.status, run.lease) == (RunStatus.RUNNING, None)


# --- readers ---


async def test_what_is_at_hand_is_what_is_committed(
    held_storage: HeldStorage, journal: Journal
) -> None:
    assert journal.since(0) is None
    for number in range(300):
        journal.append(tick(number))
    await journal.durable()
    held_storage.hold()  # it would be committed in a moment
    journal.append(tick(300))
    whole = await held_storage.read(lambda db: db.events("run", after=0, limit=1000))
    assert len(whole) == 300
    assert journal.since(0) is None  # not at hand any more
    assert journal.since(299) == whole[299:]
    assert journal.since(44) == whole[44:]
    assert journal.since(43) is None
    assert journal.since(300) == []
    held_storage.release()
    last = [end_event(RunStatus.SUCCEEDED, None, "")]
    records = await journal.end(lambda tx, seal: seal(last))
    assert journal.since(301) == records


async def test_an_event_of_a_checkpoint_that_is_about_to_be_put_waits_for_it(
    held_storage: HeldStorage, journal: Journal
) -> None:
    def told(checkpoint_id: str, *namespace: str) -> pb.RunEvent:
        checkpoint = pb.CheckpointEvent(checkpoint_id=checkpoint_id)
        return pb.RunEvent(namespace=namespace, checkpoint=checkpoint)

    # That of a resume's head was put by an earlier run.
    journal.append(told("head"))
    journal.promised("first")
    journal.append(told("first"))
    journal.append(tick(1))
    journal.promised("second")
    journal.append(told("second"))
    await journal.durable()
    assert await kinds(held_storage) == ["checkpoint"]
    await journal.put_checkpoint(a_checkpoint("first"), ())
    await journal.durable()
    assert await kinds(held_storage) == ["checkpoint", "checkpoint", "custom"]
    await journal.put_checkpoint(a_checkpoint("second"), ())
    await journal.durable()
    assert len(await kinds(held_storage)) == 4

    # None comes any more of a subgraph that its task has left, nor when the engine has stopped.
    journal.promised("inside")
    journal.append(told("inside", "node:task"))
    await journal.put_writes(writes("task"))
    await journal.durable()
    assert len(await kinds(held_storage)) == 5
    journal.promised("third")
    journal.append(told("third"))
    await journal.durable()
    assert len(await kinds(held_storage)) == 5
    journal.engine_stopped()
    await journal.durable()
    assert len(await kinds(held_storage)) == 6
