"""This server among those on the database: its lease, renewed whatever the event loop does.

A server that goes silent (killed, frozen, cut off from the database) loses its lease and with
it its runs, which others take over. When it comes back it can write nothing for them any more;
it says so, drops them, and joins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

import structlog

from graphwire_server.runs.clock import new_id
from graphwire_server.storage.interface import Storage, StorageError, StorageUnavailable
from graphwire_server.telemetry.instruments import Metrics

_log = structlog.get_logger("graphwire.runs")

#: How many renewals fall into the time of a lease.
_RENEWALS = 4
#: How long, in seconds, a server that stops tries to give its lease up.
_LEAVE_SECONDS = 2.0


class Membership:
    """The lease of this server.

    Attributes:
        server_id: Under which it holds runs; another one after the lease was lost, and empty
            while there is none.
    """

    def __init__(
        self, storage: Storage, *, lease_seconds: float, metrics: Metrics | None = None
    ) -> None:
        """Makes it; `join` takes the lease."""
        self._metrics = metrics or Metrics()
        self.server_id = ""
        self._storage = storage
        self._ttl = int(lease_seconds * 1e6)
        self._interval = lease_seconds / _RENEWALS
        self._on_lost: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rejoining: asyncio.Task[None] | None = None
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._thread_ended = asyncio.Event()
        self._held_at = time.monotonic()

    def silent_for(self) -> float:
        """Returns for how many seconds no renewal has come through; infinite without a lease."""
        thread = self._thread
        if not self.server_id or thread is None or not thread.is_alive():
            return float("inf")
        return time.monotonic() - self._held_at

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Sets what is called, on the event loop, when the lease was lost."""
        self._on_lost = callback

    async def join(self) -> None:
        """Takes a lease, and keeps it up from now on. Raises StorageError."""
        await self._take_lease()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._keep_up, name="lease", daemon=True)
        self._thread.start()

    async def leave(self) -> None:
        """Gives the lease up."""
        self._leaving.set()
        if self._thread is not None:
            # On no thread that would join it: those may all be busy.
            await self._thread_ended.wait()
        if self._rejoining is not None:
            await asyncio.wait([self._rejoining])
        server_id = self.server_id
        if not server_id:
            return
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._storage.write(lambda tx: tx.leave_servers(server_id))
        except (StorageError, TimeoutError):
            _log.warning("lease_not_given_up", hint="its runs are free when it has run out")

    async def _take_lease(self) -> None:
        server_id = new_id()
        await self._storage.write(lambda tx: tx.join_servers(server_id, ttl=self._ttl))
        self._held_at = time.monotonic()
        self.server_id = server_id

    def _keep_up(self) -> None:
        """Renews the lease, on a thread of its own, and says when it has ended."""
        assert self._loop is not None
        try:
            self._renew_for_ever(self._loop)
        finally:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._thread_ended.set)

    def _renew_for_ever(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._leaving.wait(self._interval):
            server_id = self.server_id
            try:
                renewed = self._storage.renew_server(server_id, ttl=self._ttl)
            except Exception:  # noqa: BLE001  # whatever it is, this thread must go on
                _log.warning("lease_not_renewed", exc_info=True)
                continue
            if renewed:
                self._held_at = time.monotonic()
            elif not self._leaving.is_set():
                asyncio.run_coroutine_threadsafe(self._lost(server_id), loop).result()

    async def _lost(self, server_id: str) -> None:
        if server_id != self.server_id:
            return
        _log.error(
            "lease_lost",
            server_id=server_id,
            hint="this server was out of reach for longer than its lease; its runs are "
            "recovered by whoever is free, and it joins anew",
        )
        self._metrics.leases_lost.add()
        self.server_id = ""
        self._on_lost()
        self._rejoining = asyncio.create_task(self._rejoin(), name="rejoin")
        await asyncio.wait([self._rejoining])

    async def _rejoin(self) -> None:
        while not self._leaving.is_set():
            try:
                await self._take_lease()
            except StorageError as error:
                # What passes by itself is no fault in here: it needs no traceback.
                passing = isinstance(error, StorageUnavailable)
                _log.warning("lease_not_taken", reason=str(error), exc_info=not passing)
                await asyncio.sleep(self._interval)
            else:
                _log.info("joined_anew", server_id=self.server_id)
                return
