"""Sees to pauses whose time is over: goes on, rejects tool calls, or gives up, as they say.

Every server looks for them, and acts as a caller would: of several that act at once on one
pause, or beside somebody who answers it, one wins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import structlog
from graphwire import errors

from graphwire_server.graphs.breakpoints import OnExpiry
from graphwire_server.graphs.tool_calls import Decision, rejecting
from graphwire_server.runs import topics
from graphwire_server.runs.caller import SERVER
from graphwire_server.runs.giving_up import give_up
from graphwire_server.runs.request import ResumeStart, RunRequest
from graphwire_server.runs.service import RunService
from graphwire_server.storage.interface import (
    Reader,
    Storage,
    StorageError,
    StorageUnavailable,
    Transaction,
)
from graphwire_server.storage.records import PauseKind, PauseRecord, ThreadStatus

_log = structlog.get_logger("graphwire.runs")

#: What a tool call is answered whose breakpoint brings no words of its own.
NOBODY_ANSWERED = "Rejected: nobody answered in time."

#: How many pauses are read at once.
_PAGE = 100
#: On how many threads at once something is done, and how long those to come wait for it, in
#: seconds, while there is room for more: a graph may take its time to open.
_AT_ONCE, _PATIENCE = 8, 1.0
#: What can't be done now is tried again after so many seconds, and twice as many each time.
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 300.0
#: How long what is being done gets to be done when the server stops, in seconds.
_STOP_SECONDS = 2.0


class Expiry:
    """Acts on pauses whose time is over."""

    def __init__(self, storage: Storage, runs: RunService, *, poll_seconds: float) -> None:
        """Takes how often to look for pauses of which nothing was known before."""
        self._storage = storage
        self._runs = runs
        self._poll_seconds = poll_seconds
        self._retries: dict[str, tuple[float, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._under_way: dict[str, asyncio.Task[bool]] = {}
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._look_for_ever(), name="expiry")

    async def stop(self) -> None:
        """Stops; what is being done gets some time to be done.

        What is not is left to whoever looks next: a graph may wait for a thread that some node
        never gives back.
        """
        self._stopping.set()
        tasks: set[asyncio.Task[object]] = set(self._under_way.values())
        if self._task is not None:
            tasks.add(self._task)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()

    async def act(self) -> float:
        """Acts on all pauses whose time is over; returns in how many seconds to look again.

        What takes long is left under way.
        """

        def read(db: Reader, skip: int) -> tuple[list[PauseRecord], float | None]:
            now = db.now()
            next_ = db.next_expiry(now=now)
            return db.expired_pauses(now=now, limit=_PAGE, skip=skip), (
                None if next_ is None else (next_ - now) / 1e6
            )

        left, seen = 0, set[str]()
        while True:
            expired, next_in = await self._storage.read(partial(read, skip=left), short=True)
            by_thread: dict[str, list[PauseRecord]] = defaultdict(list)
            for pause in expired:
                by_thread[pause.thread_id].append(pause)
            # For later, and what comes after them is not.
            left += sum([len(by_thread[thread_id]) for thread_id in await self._see_to(by_thread)])
            seen |= by_thread.keys()
            if len(expired) < _PAGE or self._stopping.is_set():
                break
        self._retries = {key: each for key, each in self._retries.items() if key in seen}
        soon = self._poll_seconds if next_in is None else min(self._poll_seconds, next_in)
        # Where some end while others are read, a few may be passed over.
        return min(soon, _PATIENCE) if self._under_way else soon

    async def _see_to(self, by_thread: Mapping[str, Sequence[PauseRecord]]) -> list[str]:
        """Acts on pauses, by thread; returns the threads whose pauses are not seen to."""
        begun: dict[str, asyncio.Task[bool]] = {}
        for thread_id, pauses in by_thread.items():
            while len(self._under_way) >= _AT_ONCE:
                await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set() and thread_id not in self._under_way:
                task = asyncio.create_task(self._act_on(thread_id, pauses), name="expiry of pauses")
                begun[thread_id] = self._under_way[thread_id] = task
                task.add_done_callback(partial(self._ended, thread_id))
        await self._wait_for(begun.values(), _PATIENCE)
        seen_to = {thread_id for thread_id, task in begun.items() if task.done() and task.result()}
        return [thread_id for thread_id in by_thread if thread_id not in seen_to]

    def _ended(self, thread_id: str, task: asyncio.Task[bool]) -> None:
        del self._under_way[thread_id]
        if not task.cancelled() and task.exception() is not None:
            self._retry_later(thread_id)
            _log.warning("expiry_failed", thread_id=thread_id, exc_info=task.exception())

    @staticmethod
    async def _wait_for(
        tasks: Collection[asyncio.Task[bool]], timeout: float | None = None
    ) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    async def _act_on(self, thread_id: str, pauses: Sequence[PauseRecord]) -> bool:
        """Acts on pauses of a thread; returns whether they are seen to."""
        if self._retries.get(thread_id, (0.0, 0.0))[0] > asyncio.get_running_loop().time():
            return False
        giving_up = [pause.pause_id for pause in pauses if _gives_up(pause)]
        try:
            if giving_up:
                return await self._give_up(thread_id, giving_up)
            try:
                await self._go_on(thread_id, pauses)
            except errors.ReviewMismatchError:
                # A breakpoint at all nodes has held one that has to run, to say what comes next.
                return await self._give_up(thread_id, [p.pause_id for p in pauses])
        except (errors.PauseNotOpenError, errors.ThreadBusyError, errors.ShuttingDownError):
            return False  # somebody was quicker, or will see to it
        except errors.GraphwireError as error:
            self._retry_later(thread_id)
            _log.warning(
                "expiry_failed", thread_id=thread_id, reason=error.reason, error=str(error)
            )
            return False
        except StorageError:
            raise
        except Exception:  # noqa: BLE001  # whatever a graph raises that is opened for this
            self._retry_later(thread_id)
            _log.warning("expiry_failed", thread_id=thread_id, exc_info=True)
            return False
        return True

    async def _go_on(self, thread_id: str, pauses: Sequence[PauseRecord]) -> None:
        rejected = [pause for pause in pauses if pause.on_expiry == OnExpiry.REJECT]
        resume = ResumeStart(
            pause_ids=tuple(pause.pause_id for pause in pauses),
            reviews=tuple((pause.pause_id, _rejection(pause)) for pause in rejected),
        )
        request = RunRequest(resume, thread_id=thread_id, expired=True)
        accepted = await self._runs.start(request, caller=SERVER, method="")
        _log.info(
            "pauses_expired",
            thread_id=thread_id,
            pauses=len(pauses),
            rejected=len(rejected),
            run_id=accepted.run.run_id,
        )

    async def _give_up(self, thread_id: str, pause_ids: Sequence[str]) -> bool:
        def work(tx: Transaction) -> bool:
            thread = tx.thread(thread_id)
            open_ids = {pause.pause_id for pause in tx.open_pauses(thread_id)}
            if thread is None or thread.status is not ThreadStatus.INTERRUPTED:
                return False
            if open_ids.isdisjoint(pause_ids):
                return False
            give_up(tx, thread, now=tx.now(), expired=True)
            return True

        if not await self._storage.write(work):
            return False
        _log.info("pauses_given_up", thread_id=thread_id)
        self._storage.announce(topics.QUEUE)
        return True

    def _retry_later(self, thread_id: str) -> None:
        _, before = self._retries.get(thread_id, (0.0, _FIRST_RETRY / 2))
        delay = min(2 * before, _LONGEST_RETRY)
        self._retries[thread_id] = asyncio.get_running_loop().time() + delay, delay

    async def _look_for_ever(self) -> None:
        while not self._stopping.is_set():
            try:
                seconds = await self.act()
            except StorageError as error:
                # What passes by itself is no fault in here: it needs no traceback.
                passing = isinstance(error, StorageUnavailable)
                _log.warning("expiry_not_looked_for", reason=str(error), exc_info=not passing)
                seconds = self._poll_seconds
            except Exception:  # noqa: BLE001  # whatever it is, pauses must go on expiring
                _log.exception("expiry_not_looked_for")
                seconds = self._poll_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)


def _rejection(pause: PauseRecord) -> tuple[Decision, ...]:
    return rejecting(pause.tool_calls, pause.expiry_message or NOBODY_ANSWERED)


def _gives_up(pause: PauseRecord) -> bool:
    """Returns whether there is nothing but to give up: nobody waits who could be told."""
    if pause.on_expiry == OnExpiry.REJECT:
        return pause.kind is not PauseKind.BREAKPOINT_BEFORE or pause.tool_calls == "[]"
    return pause.on_expiry == OnExpiry.CANCEL
