"""Walks through the how-to with a server of its own.

Exits with 0 if the run paused before the node and then came to its end (or was left paused
on purpose), with 1 if anything was not as it should be, with 130 if it was interrupted.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from graphwire import AsyncClient, GraphwireError

from examples.how_to.breakpoints import HowTo, UnexpectedError
from examples.how_to.local_server import ServerStartError, local_server
from examples.how_to.terminal import Terminal

PROJECT = Path(__file__).parent.parent / "weather_agent"
#: The scripted model's tokens, slow enough to be seen one by one.
ENV = {"WEATHER_TOKEN_DELAY": "0.04"}


def main() -> int:
    """Returns the exit code."""
    terminal = Terminal()
    try:
        asyncio.run(demo(terminal))
    except (GraphwireError, ServerStartError, UnexpectedError) as error:
        terminal.panel("failed", str(error), "red")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        terminal.console.print("\ninterrupted")
        return 130
    return 0


async def demo(terminal: Terminal) -> None:
    """Starts a server, walks through the how-to with a client of it, and cleans up."""
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C does, so that nothing is left behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    terminal.title("How to add breakpoints", "LangGraph's how-to, over gRPC")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="graphwire-how-to-")))
        with terminal.console.status("starting the server"):
            address = await stack.enter_async_context(local_server(PROJECT, folder, ENV))
        terminal.say(f"graphwire serve {PROJECT.name}, listening on ", (address, "bold"))
        client = await stack.enter_async_context(AsyncClient(address))
        await HowTo(client, address, terminal).walk()


if __name__ == "__main__":
    sys.exit(main())
