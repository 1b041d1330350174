"""Announcements between the servers on one Postgres database, by NOTIFY and LISTEN.

Both have connections of their own. NOTIFY in the transactions that write would put these in
a row, one behind another, over all servers.
"""

from __future__ import annotations

import asyncio
import contextvars
import uuid
from collections.abc import Iterator, Sequence

import orjson
import psycopg
import structlog
from psycopg.rows import TupleRow

from graphwire_server.storage.local_announcements import Listener, LocalAnnouncements
from graphwire_server.storage.locations import PostgresAddress

_log = structlog.get_logger("graphwire.storage")

_CHANNEL = "graphwire"

#: The most topics in one payload, in bytes. Postgres allows payloads of 8000.
_MAX_TOPICS = 7800

#: The shortest time between two notifications, in seconds: what comes meanwhile goes together.
_INTERVAL = 0.005

#: After how much silence, in seconds, to see whether notifications still arrive.
_QUIET = 15.0

#: How long the server may take to answer, in seconds; then the connection is made anew.
_ANSWER = 10.0

#: How long one of our own may take to arrive, in seconds.
_PROBE = 2.0

#: How often listeners look by themselves while nothing arrives, in seconds.
_POLL = 1.0

#: How many times they do before LISTEN is tried again, where it is of no use.
_POLLS = 30


class Announcements:
    """Tells this server's listeners at once, and those of the others by a notification.

    Where notifications do not arrive, as behind a pooler that gives each transaction another
    connection, and while there is no connection, listeners are called with nothing every
    second instead: they are to look at everything.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._parameters = address.parameters()
        self._local = LocalAnnouncements()
        self._sender = uuid.uuid4().hex
        self._topics: dict[str, None] = {}
        self._probe = False
        self._wake = asyncio.Event()
        self._closed = False
        self._sending: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    def announce(self, *topics: str) -> None:
        """Has topics told and sent, with all else that is announced in this turn of the loop."""
        if self._closed or not topics:
            return
        self._local.announce(*topics)
        self._topics.update(dict.fromkeys(topics))
        self._send()

    def listen(self, listener: Listener) -> None:
        """Adds a listener."""
        self._local.listen(listener)
        if self._listening is None and not self._closed:
            self._listening = asyncio.create_task(self._keep_listening(), name="storage-listen")

    async def close(self) -> None:
        """Sends what is waiting, if that is possible at once, and ends."""
        self._closed = True
        self._local.close()
        self._wake.set()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=1)
            self._sending.cancel()
            await asyncio.wait([self._sending])

    def _send(self) -> None:
        self._wake.set()
        if self._sending is None:
            # No part of the call that happened to be the first to announce something.
            self._sending = asyncio.create_task(
                self._keep_sending(), name="storage-notify", context=contextvars.Context()
            )

    async def _keep_sending(self) -> None:
        connection: psycopg.AsyncConnection[TupleRow] | None = None
        try:
            while not self._closed or self._topics:
                await self._wake.wait()
                self._wake.clear()
                payloads = [payload.decode() for payload in self._payloads()]
                try:
                    async with asyncio.timeout(_ANSWER):
                        if connection is None or connection.closed:
                            connection = await self._connect()
                        for payload in payloads:
                            await connection.execute(
                                "SELECT pg_notify(%s, %s)", (_CHANNEL, payload)
                            )
                except (psycopg.Error, TimeoutError) as error:
                    _log.debug("announcement_lost", reason=" ".join(str(error).split()))
                    if connection is not None:
                        await connection.close()
                if not self._closed:
                    await asyncio.sleep(_INTERVAL)
        finally:
            if connection is not None:
                await connection.close()

    def _payloads(self) -> Iterator[bytes]:
        for topics in in_parts(tuple(self._topics)):
            yield orjson.dumps({"from": self._sender, "topics": topics})
        if self._probe:
            yield orjson.dumps({"from": self._sender})
        self._topics.clear()
        self._probe = False

    async def _keep_listening(self) -> None:
        # Cancelling it is not enough: psycopg may take that for the end of a wait.
        while not self._closed:
            polls = 1
            try:
                async with await self._connect() as connection:
                    async with asyncio.timeout(_ANSWER):
                        await connection.execute(f"LISTEN {_CHANNEL}")
                    # What was announced before was not heard.
                    self._local.tell(())
                    if not await self._hear(connection):
                        polls = _POLLS
            except (psycopg.Error, TimeoutError) as error:
                _log.debug("not_listening", reason=" ".join(str(error).split()))
            if polls == _POLLS and not self._closed:
                _log.info("announcements_do_not_arrive", database=str(self._address))
            while polls and not self._closed:
                await asyncio.sleep(_POLL)
                self._local.tell(())
                polls -= 1

    async def _hear(self, connection: psycopg.AsyncConnection[TupleRow]) -> bool:
        """Passes notifications on until they do not arrive any more.

        Returns whether any has arrived at all.
        """
        heard = False
        quiet = True
        while not self._closed:
            if quiet:
                # Through the other connection, as those of other servers come.
                self._probe = True
                self._send()
            waiting = connection.notifies(timeout=_PROBE if quiet else _QUIET, stop_after=1)
            payloads = [notify.payload async for notify in waiting]
            if quiet and not payloads:
                break
            quiet = not payloads
            heard = heard or bool(payloads)
            for payload in payloads:
                self._pass_on(payload)
        return heard

    def _pass_on(self, payload: str) -> None:
        message = orjson.loads(payload)
        # Without topics it was only to see whether it arrives.
        if message["from"] != self._sender and "topics" in message:
            self._local.tell(tuple(message["topics"]))

    async def _connect(self) -> psycopg.AsyncConnection[TupleRow]:
        return await psycopg.AsyncConnection.connect(
            **self._parameters, autocommit=True, prepare_threshold=None
        )


def in_parts(topics: Sequence[str]) -> Iterator[list[str]]:
    """Yields topics in parts that fit into a payload each; an empty one for what never does."""
    part: list[str] = []
    size = 0
    for topic in topics:
        length = len(orjson.dumps(topic)) + len(",")
        if length > _MAX_TOPICS:
            yield []
            continue
        if size + length > _MAX_TOPICS:
            yield part
            part, size = [], 0
        part.append(topic)
        size += length
    if part:
        yield part
