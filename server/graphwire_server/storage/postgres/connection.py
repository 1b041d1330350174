"""A connection to Postgres that is made again when it is lost, and a thread to use it on."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TypeVar

import psycopg
import structlog

from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres.errors import reason
from graphwire_server.storage.postgres.silence import LONGEST_SILENCE, Reach, WatchfulConnection
from graphwire_server.storage.sql.errors import unreachable, unusable
from graphwire_server.storage.sql.outcome import Outcome

T = TypeVar("T")

_log = structlog.get_logger("graphwire.storage")

#: How long to go on trying to make a lost connection again, in seconds.
PATIENCE = 10.0

#: How long it may take to tell Postgres that a statement is to end, in seconds.
_CANCEL_SECONDS = 1.0

#: A statement is prepared when it has been run so many times.
_PREPARE_AFTER = 2

#: How many statements are kept prepared.
_MOST_PREPARED = 200


class Connection:
    """A connection for one thread at a time. It holds no state but that of a transaction.

    So it works through a pooler that gives each transaction another connection. Statements
    are prepared, which saves half of the time, only where there is no pooler.

    Attributes:
        writer: What it is called in `gw_commits`, for as long as it is made again.
        commits: Numbers what it commits.
    """

    def __init__(self, address: PostgresAddress, reach: Reach | None = None) -> None:
        """Takes an address, and what other connections to it know of it."""
        self.address = address
        self._parameters = address.parameters()
        self._reach = reach or Reach()
        self._connection: psycopg.Connection | None = None
        self._is_direct = True
        self._closing = threading.Event()
        self._prepares = True
        self._interrupted = False
        self.writer = uuid.uuid4().hex
        self.commits = itertools.count(1)

    def open(self) -> None:
        """Makes the connection for the first time, without trying again.

        Raises:
            StorageError: The server can't be reached, or refuses.
        """
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            raise unusable(self.address, reason(error)) from error

    def get(self) -> psycopg.Connection:
        """Returns the connection, with no transaction open. A lost one is made again.

        Raises:
            StorageUnavailable: The server can't be reached, for some time now.
            StorageError: The connection is closed for good.
        """
        if self._interrupted:
            raise unusable(self.address, "nobody waits for it any more")
        lost = self._connection
        if lost is not None and not lost.closed:
            return lost
        if why := self._reach.refusal():
            raise unreachable(self.address, why)
        give_up = time.monotonic() + self._reach.patience(PATIENCE)
        delay = 0.02
        while not self._closing.is_set():
            begun = time.monotonic()
            try:
                self._connection = self._connect()
            except psycopg.Error as error:
                if time.monotonic() + delay > give_up:
                    self._reach.given_up(reason(error), took=time.monotonic() - begun)
                    _log.warning(
                        "database_unreachable", database=str(self.address), reason=reason(error)
                    )
                    raise unreachable(self.address, reason(error)) from error
                self._closing.wait(delay)
                delay = min(delay * 2, 1.0)
            else:
                self._reach.found()
                if lost is not None:
                    _log.info("database_connected_again", database=str(self.address))
                return self._connection
        raise unusable(self.address, "it is closed")

    def drop(self) -> None:
        """Closes the connection, and with it any transaction; `get` makes another."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()

    def close(self) -> None:
        """Closes the connection for good."""
        self._closing.set()
        self.drop()

    def give_up(self) -> None:
        """Has another thread that tries to make the connection again stop trying."""
        self._closing.set()

    def interrupt(self) -> None:
        """Ends the statement that runs, from another thread, and whatever it is part of.

        Nothing is done on it any more before `resume`.
        """
        self._interrupted = True
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(psycopg.Error, OSError):
            # Not every pooler hands it on, so the connection is cut as well.
            connection.cancel_safe(timeout=_CANCEL_SECONDS)
        with (
            suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)

    def resume(self) -> None:
        """Can be used again, after `interrupt`, over another connection."""
        if self._interrupted:
            self.drop()
            self._interrupted = False

    def stop_preparing(self) -> None:
        """Prepares no statement any more, from the next connection on."""
        self._prepares = False

    def _connect(self) -> psycopg.Connection:
        connection = self._connect_unwatched()
        try:
            self._is_direct = _is_direct(connection)
            if self._prepares and self._is_direct:
                connection.prepare_threshold = _PREPARE_AFTER
                connection.prepared_max = _MOST_PREPARED
        except psycopg.Error:
            connection.close()
            raise
        connection.is_at_work = self._is_at_work
        return connection

    def _connect_unwatched(self) -> WatchfulConnection:
        connection = WatchfulConnection.connect(
            **self._parameters, autocommit=True, prepare_threshold=None
        )
        # Behind a pooler it may get what others listen for; psycopg would keep that for ever.
        connection.add_notify_handler(lambda notify: None)
        return connection

    def _is_at_work(self, connection: psycopg.Connection, silence: float) -> bool:
        """Says whether the server is at work on what a connection waits for, on another one."""
        if self._closing.is_set():
            return False
        try:
            with closing(self._connect_unwatched()) as other:
                row = other.execute(
                    "SELECT state FROM pg_stat_activity WHERE pid = %s",
                    (connection.info.backend_pid,),
                ).fetchone()
        except psycopg.Error as error:
            # One that has no connection left to give has answered.
            return "FATAL" in str(error) and silence < LONGEST_SILENCE
        if self._is_direct:
            return row is not None and row[0] == "active"
        return silence < LONGEST_SILENCE


def _is_direct(connection: psycopg.Connection) -> bool:
    """Says whether no pooler is in between.

    A pooler introduces itself, and not the one of its connections that it happens to use.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row == (connection.info.backend_pid,)


class ConnectionThread:
    """A connection whose every use runs on a thread of its own, one after another."""

    def __init__(self, address: PostgresAddress, reach: Reach) -> None:
        self._connection = Connection(address, reach)
        self._address = address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="graphwire-postgres")
        # Not the event loop's: in a run those are the threads of nodes, which may all be busy.
        self._interrupting = ThreadPoolExecutor(1, thread_name_prefix="graphwire-interrupt")

    @classmethod
    async def open(cls, address: PostgresAddress, reach: Reach) -> ConnectionThread:
        """Connects.

        Raises:
            StorageError: The server can't be reached, or refuses.
        """
        thread = cls(address, reach)
        try:
            await thread.run(Connection.open)
        except BaseException:
            await thread.close()
            raise
        return thread

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Runs a function on the thread, in one hop.

        If the caller is cancelled, a function that has begun runs to its end all the same.

        Raises:
            StorageError: It is closed.
        """
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._thread, Outcome.of, work, self._connection)
        except RuntimeError as error:
            raise unusable(self._address, "it is closed") from error
        outcome: Outcome[T] = await running
        return outcome.get()

    async def interrupt(self) -> None:
        """Ends the statement that runs, if one does, with an error."""
        loop = asyncio.get_running_loop()
        try:
            interrupted = loop.run_in_executor(self._interrupting, self._connection.interrupt)
        except RuntimeError:
            return  # it is closed: nothing runs
        await interrupted

    async def close(self) -> None:
        """Finishes what is queued, and closes."""
        self._connection.give_up()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()
        self._interrupting.shutdown(wait=False)
