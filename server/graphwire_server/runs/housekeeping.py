"""Removes what has had its time: threads, events, checkpoints and old request ids."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from graphwire_server.runs import retention
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.idempotency import RETENTION
from graphwire_server.runs.retention import Swept
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import Expiry, Extent, ThreadsKept

_log = structlog.get_logger("graphwire.runs")

#: Between two sweeps, in seconds: as long as the shortest time that something is kept, within
#: these bounds.
_SHORTEST, _LONGEST = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long a server keeps what it has; in seconds.

    Attributes:
        stateless_ttl: The thread of a stateless run, after the run's end.
        thread_ttl: Any other thread without a ttl of its own, after its last change; 0: for ever.
        event_ttl: The events of a run, after its end; 0: for ever.
        change_ttl: What was changed on threads, for those who watch.
        latest_checkpoints: Whether a thread that no run is at has only the checkpoints at which
            it stands.
        webhook_ttl: What became of webhooks, after it did.
        webhook_age: How long a webhook may be on its way.
    """

    stateless_ttl: float
    thread_ttl: float = 0
    event_ttl: float = 0
    change_ttl: float = 86_400
    latest_checkpoints: bool = False
    webhook_ttl: float = 604_800
    webhook_age: float = 86_400

    @property
    def shortest(self) -> float:
        """Returns the shortest of the times."""
        ttls = (self.thread_ttl, self.event_ttl)
        return min([self.stateless_ttl, self.change_ttl, self.webhook_ttl, *filter(None, ttls)])

    def steps(self, now: int) -> list[Callable[[Transaction], Swept]]:
        """Returns what a sweep at a time does again and again, until there is no more."""

        def before(seconds: float) -> int:
            return now - int(seconds * 1e6)

        expired = [
            Expiry(ThreadsKept.OWN, now),
            Expiry(ThreadsKept.STATELESS, before(self.stateless_ttl)),
        ]
        if self.thread_ttl:
            expired.append(Expiry(ThreadsKept.DEFAULT, before(self.thread_ttl)))
        steps: list[Callable[[Transaction], Swept]] = [
            partial(retention.delete_threads, which=which) for which in expired
        ]
        if self.event_ttl:
            steps.append(partial(retention.trim_events, before=before(self.event_ttl)))
        steps.append(partial(retention.trim_changes, before=before(self.change_ttl)))
        # One that was never sent, as no server does any more, goes as if it had been given up.
        ended, made = before(self.webhook_ttl), before(self.webhook_ttl + self.webhook_age)
        steps.append(partial(retention.trim_webhooks, ended_before=ended, made_before=made))
        if self.latest_checkpoints:
            steps.append(retention.prune_checkpoints)
        return steps


class Housekeeping:
    """Sweeps the database once a minute; more often where something is kept for less."""

    def __init__(self, storage: Storage, policy: RetentionPolicy) -> None:
        """Takes how long things are kept."""
        self._storage = storage
        self._policy = policy
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begins to sweep."""
        self._task = asyncio.create_task(self._sweep_for_ever(), name="housekeeping")

    async def stop(self) -> None:
        """Stops sweeping, with no thread half deleted."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def sweep(self) -> Extent:
        """Sweeps once; returns how much was removed."""
        now = now_us()
        await self._storage.write(lambda tx: tx.forget_requests(before=now - RETENTION), long=True)
        removed = Extent()
        for step in self._policy.steps(now):
            more = True
            while more and not self._stopping.is_set():
                begun = time.monotonic()
                swept = await self._storage.write(step, long=True)
                removed += swept.extent
                more = swept.more
                if more:
                    # However much there is to remove, half of the time is left to the runs.
                    await self._rest(time.monotonic() - begun)
        if removed != Extent():
            _log.info(
                "swept",
                threads=removed.threads,
                runs=removed.runs,
                events=removed.events,
                checkpoints=removed.checkpoints,
            )
        return removed

    async def _sweep_for_ever(self) -> None:
        interval = min(max(self._policy.shortest, _SHORTEST), _LONGEST)
        while not self._stopping.is_set():
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001  # whatever it is, the next one may do
                _log.exception("sweep_failed")
            await self._rest(interval)

    async def _rest(self, seconds: float) -> None:
        """Waits for so many seconds, or until it is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
