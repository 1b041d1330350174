"""A TCP proxy on the loopback interface that does what networks do, while it runs.

It stands between a client and a server, or between a server and Postgres.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 65536
#: With this a closed socket sends a reset, and nothing that was still to be sent.
_RESET = struct.pack("ii", 1, 0)


class Side(Enum):
    """An end of a connection."""

    CLIENT = "client"
    SERVER = "server"


@dataclass
class Line:
    """How bytes pass in both directions; may be changed at any time.

    Attributes:
        delay: How long each piece is held, in seconds.
        pace: How many bytes pass in a second; 0: any number.
        split: Into pieces of how many bytes what comes is cut, each a segment of its own; 0: none.
        merge: How long what comes is gathered to be sent as one piece, in seconds.
        poison: The connection on which these bytes come from the client is reset; none if empty.
        lives: Returns after how many bytes towards the client a new connection is reset; None:
            it is not.
    """

    delay: float = 0.0
    pace: float = 0.0
    split: int = 0
    merge: float = 0.0
    poison: bytes = b""
    lives: Callable[[], int] | None = None


@dataclass(eq=False)
class _Connection:
    """A connection through the proxy.

    Attributes:
        near: The socket of the client.
        far: That of the server.
        life: How many bytes still pass towards the client; None: any number.
        pumps: The tasks that pass bytes on.
    """

    near: socket.socket
    far: socket.socket
    life: int | None
    pumps: list[asyncio.Task[None]] = field(default_factory=list)

    def close(self, *, reset: bool) -> None:
        for pump in self.pumps:
            pump.cancel()
        for end in (self.near, self.far):
            with suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()


class Proxy:
    """A proxy in front of one server; see `running_proxy`.

    Attributes:
        line: How bytes pass.
        port: Where it listens.
        accepted: How many connections it has accepted so far.
        cuts: How many connections it has cut so far.
    """

    def __init__(self, upstream: str | Path) -> None:
        """Takes the server's `host:port`, or its Unix socket."""
        self.line = Line()
        self.port = 0
        self.accepted = self.cuts = 0
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._connections: set[_Connection] = set()
        self._flows = {side: asyncio.Event() for side in Side}
        for flow in self._flows.values():
            flow.set()
        self._refusing = False

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections there are through it."""
        return self._do(lambda: len(self._connections))

    def cut(self, *, reset: bool = True) -> int:
        """Ends all connections, with a reset (RST) or in order (FIN); returns how many."""

        def work() -> int:
            cut = list(self._connections)
            for connection in cut:
                self._end(connection, reset=reset)
            return len(cut)

        return self._do(work)

    def half_close(self, side: Side) -> None:
        """Tells one side that the other sends nothing any more; what it sends still passes.

        What comes from the other side from now on is thrown away.
        """

        def work() -> None:
            for connection in self._connections:
                to_client = side is Side.CLIENT
                # pumps: [towards the server, towards the client]
                connection.pumps[to_client].cancel()
                end = connection.near if to_client else connection.far
                with suppress(OSError):
                    end.shutdown(socket.SHUT_WR)

        self._do(work)

    def freeze(self, *sides: Side) -> None:
        """Passes nothing on to these sides any more, by default to neither: a black hole.

        That goes for connections to come as well.
        """

        def work() -> None:
            for side in sides or Side:
                self._flows[side].clear()

        self._do(work)

    def thaw(self) -> None:
        """Passes on again, with what was held."""

        def work() -> None:
            for flow in self._flows.values():
                flow.set()

        self._do(work)

    def refuse(self) -> None:
        """Resets whoever connects."""
        self._refusing = True

    def accept(self) -> None:
        """Accepts connections again."""
        self._refusing = False

    def heal(self) -> None:
        """Behaves from now on."""
        self.line = Line()
        self.accept()
        self.thaw()

    def _do(self, work: Callable[[], T]) -> T:
        """Does something on the proxy's thread, and waits for it."""

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    def _end(self, connection: _Connection, *, reset: bool) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self.cuts += 1
            connection.close(reset=reset)

    async def serve(self, listening: threading.Event, stop: asyncio.Event) -> None:
        """Listens until it is told to stop."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        accepting = asyncio.create_task(self._accept(listener))
        listening.set()
        await stop.wait()
        accepting.cancel()
        await asyncio.wait([accepting])
        listener.close()
        pumps = [pump for connection in self._connections for pump in connection.pumps]
        for connection in list(self._connections):
            self._end(connection, reset=True)
        if pumps:
            await asyncio.wait(pumps)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            near, _ = await self._loop.sock_accept(listener)
            if self._refusing:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                near.close()
                continue
            self.accepted += 1
            # A local server accepts at once, so this holds up no others.
            far = await self._connect()
            if far is None:
                near.close()
                continue
            life = None if self.line.lives is None else self.line.lives()
            connection = _Connection(near, far, life)
            self._connections.add(connection)
            for end in (near, far):
                end.setblocking(False)
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for side in (Side.SERVER, Side.CLIENT):
                pump = self._pump(connection, side)
                connection.pumps.append(asyncio.create_task(pump))

    async def _connect(self) -> socket.socket | None:
        is_unix = isinstance(self._upstream, Path)
        far = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        far.setblocking(False)
        if isinstance(self._upstream, Path):
            where: Any = str(self._upstream)
        else:
            host, _, port = self._upstream.rpartition(":")
            where = (host, int(port))
        try:
            await self._loop.sock_connect(far, where)
        except OSError:
            far.close()
            return None
        return far

    async def _pump(self, connection: _Connection, towards: Side) -> None:
        """Passes bytes on in one direction, to their end."""
        source, sink = connection.near, connection.far
        if towards is Side.CLIENT:
            source, sink = sink, source
        flow = self._flows[towards]
        try:
            while data := await self._next(source, flow):
                if towards is Side.CLIENT and connection.life is not None:
                    data = data[: connection.life]
                    connection.life -= len(data)
                await self._send(sink, data)
                poison = towards is Side.SERVER and self.line.poison
                if connection.life == 0 or (poison and poison in data):
                    self._end(connection, reset=True)
                    return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._connections.discard(connection)
            connection.close(reset=True)
            return
        if all(pump.done() or pump is asyncio.current_task() for pump in connection.pumps):
            self._connections.discard(connection)
            connection.close(reset=False)

    async def _next(self, source: socket.socket, flow: asyncio.Event) -> bytes:
        await flow.wait()
        data = await self._loop.sock_recv(source, _MOST)
        if data and self.line.merge:
            await asyncio.sleep(self.line.merge)
            with suppress(BlockingIOError):
                data += source.recv(_MOST)
        await flow.wait()
        return data

    async def _send(self, sink: socket.socket, data: bytes) -> None:
        line = self.line
        if line.delay:
            await asyncio.sleep(line.delay)
        size = line.split or len(data)
        for start in range(0, len(data), size or 1):
            piece = data[start : start + size]
            await self._loop.sock_sendall(sink, piece)
            if line.pace:
                await asyncio.sleep(len(piece) / line.pace)
            elif line.split:
                await asyncio.sleep(0)


def random_lives(seed: str, least: int, most: int) -> Callable[[], int]:
    """Returns what says, for one connection after another, after how many bytes it is reset."""
    chance = random.Random(seed)
    return lambda: chance.randint(least, most)


@contextmanager
def running_proxy(upstream: str | Path) -> Iterator[Proxy]:
    """Runs a proxy in a thread of its own."""
    proxy = Proxy(upstream)
    loop, stop, listening = proxy._loop, asyncio.Event(), threading.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(proxy.serve(listening, stop),), name="proxy"
    )
    thread.start()
    try:
        assert listening.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
        loop.close()
