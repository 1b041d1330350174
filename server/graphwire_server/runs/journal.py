"""What comes of a run while it executes: events, checkpoints and writes, kept in one order.

Commit, then show. All that the run makes goes through its journal, and each commit takes all
that has gathered: what a task wrote with the event that tells of it, a checkpoint with the
values of its step, and usually a whole step at once. Every commit is made under the run's
lease, so that whoever has lost it can write nothing. Docs: adr/0007.

A task begins only when what it builds on is on the disk (`durable`, which the gate awaits), so
the engine itself never waits for a checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs.messages import join
from graphwire_server.graphs.places import Namespace, namespace_of
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.events import metadata_record, sealed, timestamp
from graphwire_server.runs.refused_writes import PatientWrites
from graphwire_server.runs.tail import Tail
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointRecord,
    WriteRecord,
)
from graphwire_server.storage.checkpoints.sink import Sink
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import EventRecord, RunRecord

T = TypeVar("T")

#: How long, in seconds, what is made may gather before it is committed. A step's beginning and
#: the run's end never wait.
_GATHER = 0.002
#: As much for pieces of messages, which are joined meanwhile.
_GATHER_MESSAGES = 0.013


@dataclass(slots=True)
class _Batch:
    """What one commit takes."""

    events: list[EventRecord] = field(default_factory=list)
    checkpoints: list[tuple[CheckpointRecord, Sequence[ChannelValueRecord]]] = field(
        default_factory=list
    )
    writes: list[WriteRecord] = field(default_factory=list)
    hits: list[tuple[str, str]] = field(default_factory=list)
    absorbs: bool = False
    upto: int = 0


class Journal(Sink):
    """The journal of one attempt at a run. To be used on the event loop.

    Attributes:
        run: The run, as it was when the attempt began.
        ended: Whether the run's last event is committed.
        head: LangGraph's checkpoint that was put last at the root; None before the first.
        refused_task: The first task that wrote what can't be kept; empty if none did.
        committed: The last event that was committed here, and when, by the event loop's clock.
    """

    def __init__(
        self, run: RunRecord, storage: Storage, *, on_commit: Callable[[str], None]
    ) -> None:
        """Goes on after the run's last event.

        Args:
            run: The run, RUNNING under a lease of this server's.
            storage: Where it is kept.
            on_commit: Called with the run's id when events were committed.
        """
        self.run = run
        self.ended = False
        self.head: Mapping[str, Any] | None = None
        self.refused_task = ""
        self.committed: tuple[int, float] = (0, 0.0)
        self._storage = storage
        self._writer = PatientWrites(storage, run.run_id)
        self._on_commit = on_commit
        self._waits = False
        self._fresh = False
        self._amend: Callable[[Any], Any] | None = None
        self._put_in: set[str] = set()
        self._connected = False
        self._gated: Callable[[Namespace], bool] = lambda namespace: not namespace
        self._absorbs_writes = False
        self._absorbed = run.absorbed
        self._sequence = run.last_sequence
        self._events: list[pb.RunEvent] = []
        self._checkpoints: list[tuple[CheckpointRecord, Sequence[ChannelValueRecord]]] = []
        self._writes: list[WriteRecord] = []
        self._hits: list[tuple[str, str]] = []
        self._absorbs = False
        self._made = 0
        self._kept = 0
        self._due: dict[Namespace, int] = {}
        self._promised: set[str] = set()
        self._due_with: dict[str, tuple[Namespace, int]] = {}
        self._stepping: set[Namespace] = set()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._failure: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flush_at = 0.0
        self._flush: asyncio.Task[None] | None = None
        self._closed = False
        self._last: _Batch | None = None
        self._tail = Tail()
        if run.last_sequence == 1:
            self._tail.extend([metadata_record(run)])

    def connect(
        self,
        *,
        gated: Callable[[Namespace], bool],
        absorbs_writes: bool,
        waits: bool,
        fresh: bool,
        amend: Callable[[Any], Any] | None = None,
    ) -> None:
        """Sets what belongs to the execution.

        Args:
            gated: Says of a namespace whether it keeps checkpoints and the gate lets each of
                its tasks begin.
            absorbs_writes: Whether what the run starts with is in the first writes at the
                root (a command) rather than in the first checkpoint there (input).
            waits: Whether whoever puts a checkpoint from outside the gate's reach waits until
                it is committed: with durability SYNC.
            fresh: Whether the thread has no checkpoints yet.
            amend: Makes of LangGraph's checkpoint, when it is read, what the graph goes on
                from; None: as it is.
        """
        self._connected = True
        self._gated = gated
        self._absorbs_writes = absorbs_writes
        self._waits = waits
        self._fresh = fresh
        self._amend = amend

    @property
    def failed(self) -> bool:
        """Returns whether something that was made could not be committed."""
        return self._failure is not None

    # --- events ---

    def append(self, event: pb.RunEvent) -> None:
        """Adds an event; it is committed and shown a moment later.

        A piece of a message may be joined to the one before it, if that is not committed yet.
        What comes after the run's end, from nodes that were not waited for, is dropped.
        """
        if self._closed:
            return
        kind = event.WhichOneof("event")
        if kind == "message" and self._events:
            last = self._events[-1]
            if (
                last.WhichOneof("event") == "message"
                and last.namespace == event.namespace
                and join(last.message, event.message)
            ):
                return
        event.event_time.CopyFrom(timestamp(now_us()))
        self._events.append(event)
        namespace = tuple(event.namespace)
        if kind == "values" and namespace in self._stepping:
            # The checkpoint with these values comes next, and belongs into the same commit.
            self._due.setdefault(namespace, len(self._events) - 1)
        if kind == "checkpoint" and event.checkpoint.checkpoint_id in self._promised:
            self._due_with[event.checkpoint.checkpoint_id] = namespace, len(self._events) - 1
        self._note(_GATHER_MESSAGES if kind == "message" else _GATHER)

    def step_starts(self, namespace: Namespace) -> None:
        """Notes that a step is about to start in a namespace."""
        self._due.pop(namespace, None)
        if self._gated(namespace):
            self._stepping.add(namespace)

    def engine_stopped(self) -> None:
        """Notes that no checkpoint follows, for which an event would have to wait."""
        self._wait_no_more()

    def _wait_no_more(self) -> None:
        self._due.clear()
        self._due_with.clear()
        self._promised.clear()

    def reaches(self, after: int) -> bool:
        """Returns whether the event after a sequence is at hand, or is the next to come."""
        first = self._tail.first
        return first is not None and first <= after + 1 <= self._sequence + 1

    def since(self, after: int) -> list[EventRecord] | None:
        """Returns the committed events after a sequence; None if they are not at hand."""
        return self._tail.since(after)

    # --- checkpoints: the sink of the server's checkpointer ---

    def promised(self, checkpoint_id: str) -> None:
        """Has an event that tells of a checkpoint wait for it. To be called on any thread."""
        self._promised.add(checkpoint_id)

    def annotations(
        self,
        thread_id: str,
        namespace: str,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Notes the root's checkpoint; the metadata says all there is to say."""
        if thread_id == self.run.thread_id and not namespace:
            self.head = checkpoint
        return {}

    def put_checkpoint(
        self, record: CheckpointRecord, values: Sequence[ChannelValueRecord]
    ) -> Coroutine[Any, Any, None]:
        """Adds a checkpoint. The result is for whoever wants to wait for its commit."""
        namespace = namespace_of(record.namespace)
        own = record.thread_id == self.run.thread_id
        self._promised.discard(record.checkpoint_id)
        self._due_with.pop(record.checkpoint_id, None)
        if own:
            self.step_starts(namespace)
            self._put_in.add(record.namespace)
            # The metadata is the graph's to say; who made it is not.
            if record.run_id != self.run.run_id:
                record = replace(record, run_id=self.run.run_id)
        self._checkpoints.append((record, values))
        return self._put(own, namespace, absorbs=True)

    def put_writes(self, records: Sequence[WriteRecord]) -> Coroutine[Any, Any, None]:
        """Adds what a task wrote. The result is for whoever wants to wait for its commit."""
        self._writes.extend(records)
        for record in records:
            self._leave_subgraphs(namespace_of(record.namespace), record.task_id)
        own = bool(records) and records[0].thread_id == self.run.thread_id
        namespace = namespace_of(records[0].namespace) if records else ()
        return self._put(own, namespace, absorbs=self._absorbs_writes)

    def knows_none(self, thread_id: str, namespace: str) -> bool:
        """Returns whether there can be no checkpoint in a namespace, without a look."""
        own = thread_id == self.run.thread_id
        return self._fresh and own and namespace not in self._put_in

    def amended(self, found: Any) -> Any:
        return found if self._amend is None else self._amend(found)

    def count_hit(self, breakpoint_id: str, task_id: str) -> None:
        """Has it kept that a breakpoint lets a task pass, in the commit before it begins."""
        self._hits.append((breakpoint_id, task_id))
        self._note(_GATHER)

    def refused(self, task_id: str) -> None:
        """Hears of a task that wrote what can't be kept."""
        self.refused_task = self.refused_task or task_id

    async def settled(self) -> None:
        """Waits until all that was put is in the database, for whoever reads it there."""
        await self.durable()

    def _put(self, own: bool, namespace: Namespace, *, absorbs: bool) -> Coroutine[Any, Any, None]:
        if own and absorbs and not namespace and self._connected and not self._absorbed:
            self._absorbed = self._absorbs = True
        self._note(_GATHER)
        waits = self._waits and not (own and self._gated(namespace))
        return self.durable() if waits else _nothing()

    def _leave_subgraphs(self, namespace: Namespace, task_id: str) -> None:
        """Lets events go for which no checkpoint comes: a task that is over has left its subgraphs.

        It may have left them by an error, between the values of a step and their checkpoint.
        """
        depth = len(namespace)

        def is_left(below: Namespace) -> bool:
            if len(below) <= depth or below[:depth] != namespace:
                return False
            # Subgraphs with `checkpointer=True` have namespaces without task ids.
            return below[depth].partition(":")[2] in ("", task_id)

        for below in [below for below in self._due if is_left(below)]:
            del self._due[below]
        for key in [key for key, (below, _) in self._due_with.items() if is_left(below)]:
            del self._due_with[key]

    # --- commits ---

    async def durable(self) -> None:
        """Waits until all that was made so far is committed.

        Not for events that wait for a checkpoint: whoever waits here may have yet to make it.

        Raises:
            LeaseLostError: The run is somebody else's now.
            StorageError: It can't be committed; also not when the database was waited for.
        """
        if self._failure is not None:
            raise self._failure
        upto = self._made - (len(self._events) - self._ready())
        if self._kept >= upto:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((upto, waiter))
        self._flush_now()
        await waiter

    async def end(self, work: Callable[[Transaction, Sealing], T]) -> T:
        """Commits what is left, and with it `work`, which ends the run; nothing comes after.

        Args:
            work: Gets the transaction and a function that numbers the run's last events.

        Raises:
            LeaseLostError, StorageError: As `durable`. After a StorageError it can be tried
                again.
        """
        if self._last is None:
            self._closed = True
            self._wait_no_more()
            while self._flush is not None:
                await asyncio.wait([self._flush])
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._last = self._take()
        if self._failure is not None:
            raise self._failure
        last, first = self._last, self._sequence + 1
        ending: list[EventRecord] = []

        def seal(events: Sequence[pb.RunEvent]) -> list[EventRecord]:
            for event in events:
                event.event_time.CopyFrom(timestamp(now_us()))
            ending[:] = [self._sealed(event, n) for n, event in enumerate(events, start=first)]
            return ending

        def ends(tx: Transaction) -> T:
            self._write(tx, last)
            return work(tx, seal)

        result = await self._storage.write(ends)
        self._note_committed((*last.events, *ending))
        self._tail.extend((*last.events, *ending))
        self.ended = bool(ending)
        return result

    def _note(self, gather: float) -> None:
        """Notes that something was made, to be committed after a while at the latest."""
        self._made += 1
        if self._waiting:
            self._flush_now()
        if self._flush is not None or self._closed:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + gather
        if self._timer is not None:
            if self._flush_at <= when:
                return
            self._timer.cancel()
        self._flush_at, self._timer = when, loop.call_at(when, self._flush_now)

    def _flush_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flush is None and self._failure is None and self._kept < self._made:
            self._flush = asyncio.create_task(self._commit_all(), name="journal")

    async def _commit_all(self) -> None:
        try:
            while self._kept < self._made:
                batch = self._take()
                if batch.upto == self._kept:
                    break  # what is left waits for a checkpoint, which comes by itself
                await self._writer.write(lambda tx, batch=batch: self._write(tx, batch))  # type: ignore[misc]
                self._committed(batch)
        except Exception as error:  # noqa: BLE001  # the run fails with it
            self._failed(error)
        finally:
            self._flush = None

    def hurry(self) -> None:
        """Waits no longer for a database that does not take what was made: the server stops."""
        self._writer.hurry()

    def _ready(self) -> int:
        """Returns how many of the events wait for no checkpoint."""
        due = (*self._due.values(), *(at for _, at in self._due_with.values()))
        return min(due, default=len(self._events))

    def _take(self) -> _Batch:
        ready = self._ready()
        batch = _Batch(
            events=[self._numbered(event) for event in self._events[:ready]],
            checkpoints=self._checkpoints,
            writes=self._writes,
            hits=self._hits,
            absorbs=self._absorbs,
        )
        del self._events[:ready]
        self._due = {namespace: at - ready for namespace, at in self._due.items()}
        self._due_with = {key: (ns, at - ready) for key, (ns, at) in self._due_with.items()}
        self._checkpoints, self._writes, self._hits, self._absorbs = [], [], [], False
        batch.upto = self._made - len(self._events)
        return batch

    def _write(self, tx: Transaction, batch: _Batch) -> None:
        run = self.run
        assert run.lease is not None
        tx.hold(run.run_id, run.lease, events=batch.events, absorbs=batch.absorbs)
        for record, values in batch.checkpoints:
            tx.put_checkpoint(record, values)
            if run.losses and not record.namespace:
                # A node that costs each attempt its server lets none come so far.
                tx.forget_losses(run.run_id)
        if batch.writes:
            tx.put_checkpoint_writes(batch.writes, run_id=run.run_id)
        if batch.hits:
            tx.insert_breakpoint_hits(run.thread_id, batch.hits)

    def _committed(self, batch: _Batch) -> None:
        self._kept = batch.upto
        self._note_committed(batch.events)
        self._tail.extend(batch.events)
        ready = [waiter for upto, waiter in self._waiting if upto <= self._kept]
        self._waiting = [(upto, w) for upto, w in self._waiting if upto > self._kept]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(None)
        if batch.events:
            self._on_commit(self.run.run_id)

    def _note_committed(self, events: Sequence[EventRecord]) -> None:
        if events:
            self.committed = events[-1].sequence, asyncio.get_running_loop().time()

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        for _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiting.clear()

    def _numbered(self, event: pb.RunEvent) -> EventRecord:
        self._sequence += 1
        return self._sealed(event, self._sequence)

    def _sealed(self, event: pb.RunEvent, sequence: int) -> EventRecord:
        return sealed(event, self.run.run_id, sequence, attempt=self.run.attempt)


#: Numbers and serializes the last events of a run.
Sealing = Callable[[Sequence[pb.RunEvent]], list[EventRecord]]


async def _nothing() -> None:
    """What there is to wait for where nobody has to."""
