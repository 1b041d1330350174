"""Whether this server can do its work: what its health is made of.

Little is asked for it. The renewal of the lease writes to the database anyway, on a connection
of its own, so one that is overdue says that the database can't be reached, or takes no writes.
One that is nearly full still takes such a little one: so it counts, too, what else it refuses.
Whether it answers is asked apart from what callers read: that may take its time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from graphwire_server.runs.executor import Executor
from graphwire_server.runs.membership import Membership
from graphwire_server.storage.interface import Storage, StorageError

_log = structlog.get_logger("graphwire.runs")

#: How often, in the time of a lease, it is looked; and after how many seconds at the latest.
_LOOKS, _LATEST_LOOK = 16, 1.0
#: For what part of a lease no renewal may have come through.
_OVERDUE = 0.75
#: How long the database may take to answer, in seconds.
_SLOW = 5.0
#: How long a refused write counts, in seconds: those that wait for it try more often.
_REFUSED = 10.0
#: How long a write may take, in seconds, before it counts as one that is refused.
_STUCK = 7.5


@dataclass(frozen=True, slots=True)
class Condition:
    """What this server can do.

    Attributes:
        database: Whether the database answers and takes writes, and the lease is held.
        executor: Whether runs are claimed.
        serving: Whether it is not about to stop.
    """

    database: bool
    executor: bool
    serving: bool


class Vitals:
    """Watches over this server."""

    def __init__(
        self,
        storage: Storage,
        membership: Membership,
        executor: Executor,
        on_change: Callable[[Condition], None],
        *,
        lease_seconds: float,
    ) -> None:
        """Takes what to watch, and whom to tell of each change."""
        self._storage = storage
        self._membership = membership
        self._executor = executor
        self._on_change = on_change
        self._interval = min(lease_seconds / _LOOKS, _LATEST_LOOK)
        self._overdue = lease_seconds * _OVERDUE
        self._slow = min(lease_seconds / 2, _SLOW)
        self._condition: Condition | None = None
        self._serving = True
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._answers = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look, at once: when this returns it has told how things are."""
        self._look()
        self._task = asyncio.create_task(self._look_for_ever(), name="vitals")

    def stop_serving(self) -> None:
        """Tells that the server is about to stop, for good."""
        self._serving = False
        self._look()

    async def stop(self) -> None:
        """Stops looking."""
        for task in (self._task, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._ask()
            self._look()

    def _ask(self) -> None:
        """Has the database answer something, if it is not about to."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or self._asking.done():
            self._asked_at = now
            self._asking = asyncio.create_task(self._answer(), name="database-answers")
        elif now - self._asked_at > self._slow:
            self._answers = False

    async def _answer(self) -> None:
        try:
            await self._storage.answer()
        except StorageError:
            self._answers = False
        else:
            self._answers = True

    def _look(self) -> None:
        held = self._membership.silent_for() < self._overdue
        condition = Condition(
            database=held and self._answers and not self._refuses(),
            executor=self._executor.alive,
            serving=self._serving,
        )
        before, self._condition = self._condition, condition
        if condition != before:
            if before is not None and self._serving:
                _tell(before, condition)
            self._on_change(condition)

    def _refuses(self) -> bool:
        if self._storage.writing_for() > _STUCK:
            return True
        refused_at = self._storage.refused_at
        return refused_at is not None and time.monotonic() - refused_at < _REFUSED


def _tell(before: Condition, condition: Condition) -> None:
    if before.database and not condition.database:
        _log.error("database_does_not_answer", hint="health says NOT_SERVING until it does")
    elif condition.database and not before.database:
        _log.info("database_answers_again")
    if before.executor and not condition.executor:
        _log.error("runs_are_not_claimed", hint="health says NOT_SERVING until they are")
    elif condition.executor and not before.executor:
        _log.info("runs_are_claimed_again")
