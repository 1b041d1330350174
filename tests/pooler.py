"""A transaction pooler, as PgBouncer is one, which can also lose things on the way.

It gives each transaction the connection to the server that has been idle for longest, so
that whatever counts on the state of a session goes wrong at once.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

_STARTUP, _SSL, _GSS = 196608, 80877103, 80877104
_KEY = struct.pack("!cIII", b"K", 12, 1, 2)
_GONE = (OSError, asyncio.IncompleteReadError)


class Fault(Enum):
    """What becomes of a commit; in either case the client's connection is closed."""

    COMMIT_LOST = "the server never sees it"
    REPLY_LOST = "the server does it, and the client is not told"


class _Server:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = b""
        self._ending: asyncio.Task[bytes] | None = None

    @classmethod
    async def connect(cls, socket: Path, startup: bytes) -> _Server:
        server = cls(*await asyncio.open_unix_connection(socket))
        server.writer.write(struct.pack("!I", len(startup) + 4) + startup)
        while True:
            kind, message = await _read_message(server.reader)
            # The connection is the pooler's, and so is the key with which to cancel.
            server.greeting += _KEY if kind == b"K" else message
            if kind == b"Z":
                return server

    def rest(self) -> None:
        """Waits for its next transaction. Should the server say anything meanwhile, it ends."""
        self._ending = asyncio.create_task(self.reader.read(1))

    async def work(self) -> bool:
        """Begins with a transaction; False if the server has ended it."""
        if self._ending is None or self._ending.done():
            return False
        self._ending.cancel()
        await asyncio.wait([self._ending])
        return self._ending.cancelled()

    def close(self) -> None:
        """Closes the connection."""
        self.writer.close()
        if self._ending is not None:
            self._ending.cancel()


class _Client:
    """A connection from a client, whose messages are read as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.messages: deque[tuple[bytes, bytes]] = deque()
        self._reader = reader
        self._arrived = asyncio.Event()
        self.reading = asyncio.create_task(self._read())
        self._started: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def startup(self) -> bytes | None:
        """Returns what it begins with; None if it does not want to talk."""
        return await self._started

    async def sends(self, *, unless: asyncio.Task[bool] | None = None) -> bool:
        """Waits for a message; False if it has gone, or something else is done before."""
        while not self.messages and not self.reading.done():
            self._arrived.clear()
            waiting = asyncio.create_task(self._arrived.wait())
            await asyncio.wait(
                {waiting, self.reading} | ({unless} if unless else set()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            waiting.cancel()
            if unless is not None and unless.done():
                return False
        return bool(self.messages) and not (unless is not None and unless.done())

    async def _read(self) -> None:
        try:
            self._started.set_result(await self._greet())
            while True:
                self.messages.append(await _read_message(self._reader))
                self._arrived.set()
        except _GONE:
            if not self._started.done():
                self._started.set_result(None)

    async def _greet(self) -> bytes | None:
        while True:
            (length,) = struct.unpack("!I", await self._reader.readexactly(4))
            startup = await self._reader.readexactly(length - 4)
            (code,) = struct.unpack("!I", startup[:4])
            if code == _STARTUP:
                return startup
            if code not in (_SSL, _GSS):
                return None
            self.writer.write(b"N")


class Pooler:
    """A pooler on the loopback interface.

    Attributes:
        port: Where it listens.
        faults: What becomes of the next commits, in order.
        transactions: How many transactions it has passed on.
    """

    def __init__(self, socket: Path, *, size: int) -> None:
        self.port = 0
        self.faults: deque[Fault] = deque()
        self.transactions = 0
        self._refusing = False
        self._socket = socket
        self._size = size
        self._idle: dict[bytes, asyncio.Queue[_Server | None]] = {}
        self._clients: set[asyncio.StreamWriter] = set()
        self._servers: set[_Server] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()

    def url(self, database: str) -> str:
        """Returns the address of a database."""
        return (
            f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
            "?sslmode=disable&gssencmode=disable"
        )

    def refuse(self) -> None:
        """Accepts no client any more, and closes the connections of those that are there."""
        self.refuse_new()
        self._loop.call_soon_threadsafe(self._close_clients)

    def refuse_new(self) -> None:
        """Accepts no client any more; those that are there stay."""
        self._refusing = True

    def accept(self) -> None:
        """Accepts clients again."""
        self._refusing = False

    async def serve(self, listening: threading.Event, stop: asyncio.Event) -> None:
        """Listens until it is told to stop."""
        listener = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        listening.set()
        await stop.wait()
        listener.close()
        self._close_clients()
        for server in self._servers:
            server.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _close_clients(self) -> None:
        for writer in self._clients:
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._clients.add(writer)
        try:
            if not self._refusing:
                client = _Client(reader, writer)
                with suppress(*_GONE):
                    await self._converse(client)
                client.reading.cancel()
        finally:
            self._clients.discard(writer)
            writer.transport.abort()

    async def _converse(self, client: _Client) -> None:
        startup = await client.startup()
        if startup is None:
            return
        pool = self._pool(startup)
        server = await self._taken(pool, startup)
        client.writer.write(server.greeting)
        self._give_back(pool, server)
        whole = True
        while whole and await client.sends():
            server = await self._taken(pool, startup)
            whole = False
            try:
                whole = await self._transaction(client, server)
            finally:
                if whole:
                    self._give_back(pool, server)
                else:
                    server.close()
                    pool.put_nowait(None)

    async def _transaction(self, client: _Client, server: _Server) -> bool:
        """Passes messages to and fro until no transaction is open; False if it is cut short."""
        self.transactions += 1
        asked = 0
        fault: Fault | None = None

        async def answer() -> bool:
            answered = 0
            while True:
                kind, message = await _read_message(server.reader)
                answered += kind == b"Z"
                if fault is None:
                    client.writer.write(message)
                elif kind == b"Z":
                    return False
                if message == b"Z\0\0\0\5I" and answered == asked:
                    return True

        answering = asyncio.create_task(answer())
        try:
            while await client.sends(unless=answering):
                kind, message = client.messages.popleft()
                if kind == b"X":
                    return False
                if message.endswith(b"COMMIT\0") and self.faults:
                    fault = self.faults.popleft()
                if fault is Fault.COMMIT_LOST:
                    return False
                asked += kind in (b"Q", b"S")
                server.writer.write(message)
            return await answering
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError, *_GONE):
                await answering

    def _pool(self, startup: bytes) -> asyncio.Queue[_Server | None]:
        if startup not in self._idle:
            self._idle[startup] = asyncio.Queue()
            for _ in range(self._size):
                self._idle[startup].put_nowait(None)
        return self._idle[startup]

    async def _taken(self, pool: asyncio.Queue[_Server | None], startup: bytes) -> _Server:
        server = await pool.get()
        if server is None or not await server.work():
            try:
                server = await _Server.connect(self._socket, startup)
            except BaseException:
                pool.put_nowait(None)
                raise
            self._servers.add(server)
        return server

    def _give_back(self, pool: asyncio.Queue[_Server | None], server: _Server) -> None:
        server.rest()
        pool.put_nowait(server)


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Returns the kind of a message, and the message as a whole."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], head + await reader.readexactly(length - 4)


@contextmanager
def running_pooler(folder: Path, *, size: int = 8) -> Iterator[Pooler]:
    """Runs a pooler in a thread of its own.

    Args:
        folder: Where the server's socket is.
        size: How many connections to the server it has, for each database and user.
    """
    pooler = Pooler(folder / ".s.PGSQL.5432", size=size)
    loop, stop, listening = pooler._loop, asyncio.Event(), threading.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(pooler.serve(listening, stop),), name="pooler"
    )
    thread.start()
    try:
        assert listening.wait(10)
        yield pooler
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()
        loop.close()
