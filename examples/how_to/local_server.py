"""A `graphwire serve` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_START_SECONDS = 60
_STOP_SECONDS = 20


class ServerStartError(Exception):
    """The server ended, or said nothing, before it listened; the text has its last words."""


@asynccontextmanager
async def local_server(project: Path, folder: Path, env: Mapping[str, str]) -> AsyncIterator[str]:
    """Serves a project on a free port of this machine; gives its address, `host:port`.

    Args:
        project: A folder with a `langgraph.json`.
        folder: Where its database and its log go.
        env: Environment variables that it gets, unless they are set already.

    Raises:
        ServerStartError: It did not start.
    """
    options = ["--listen", "127.0.0.1:0", "--database", str(folder / "graphwire.db")]
    log = folder / "server.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "graphwire", "serve", str(project), *options),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=stderr,
            env={**env, **os.environ},
            # Ctrl-C is for the client, which stops the server in its own time.
            start_new_session=True,
        )
    try:
        try:
            address = await asyncio.wait_for(_address(process), _START_SECONDS)
        except (TimeoutError, EOFError):
            last_words = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise ServerStartError(f"the server did not start:\n{last_words}") from None
        yield address
    finally:
        await _stop(process)


async def _address(process: Process) -> str:
    """Waits for the line in which the server says where it listens."""
    assert process.stdout is not None
    async for line in process.stdout:
        words = line.decode().split()
        if words[:2] == ["listening", "on"]:
            return words[2]
    raise EOFError


async def _stop(process: Process) -> None:
    try:
        if process.returncode is None:
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
