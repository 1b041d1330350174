"""What goes over the wire, counted by a proxy in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_CHUNK = 1 << 16


@dataclass(slots=True)
class Proxy:
    """A proxy for one server.

    Attributes:
        address: Where it listens.
        received: Bytes that the server has sent through it.
    """

    address: str
    received: int = 0


@asynccontextmanager
async def counting_proxy(target: str) -> AsyncIterator[Proxy]:
    """Runs a proxy that passes bytes on to a server and back, and counts those back.

    Connections through it must have been closed when the context is left.
    """
    host, _, port = target.rpartition(":")
    proxy = Proxy("")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        up = asyncio.create_task(_pass_on(reader, back))
        async for chunk in _chunks(there):
            proxy.received += len(chunk)
            writer.write(chunk)
            await writer.drain()
        await up
        back.close()
        writer.close()

    async with asyncio.TaskGroup() as connections:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.create_task(forward(reader, writer))

        server = await asyncio.start_server(accept, host, 0)
        listening = server.sockets[0].getsockname()
        proxy.address = f"{listening[0]}:{listening[1]}"
        async with server:
            yield proxy


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for chunk in _chunks(reader):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await reader.read(_CHUNK):
        yield chunk
