"""A server as a process: how long it runs, and how it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable

import structlog

from graphwire_server.app.server import App
from graphwire_server.graphs.project import Project
from graphwire_server.settings import Settings

_log = structlog.get_logger("graphwire.server")

#: After how many new objects, and how many collections of the younger ones, Python collects.
_COLLECT_AFTER = (50_000, 20, 50)
#: What tells the server to stop.
_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: The exit code of a server that could not stop in order.
_STOPPED_LATE = 1


async def serve(
    settings: Settings,
    project: Project,
    on_started: Callable[[App], None],
    *,
    shares_port: bool = False,
) -> None:
    """Runs a server until SIGTERM or SIGINT; a second one, of either, kills it at once.

    Args:
        settings: The settings.
        project: The project to serve.
        on_started: Called when it listens.
        shares_port: Whether other servers may listen on the same port.

    Raises:
        GraphLoadError, StorageError, OSError: As `App.start`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        # Also the other one: whoever sends it after the first wants an end.
        for number in _STOPPING:
            # In this order: the loop puts Python's own handler back, which would only raise.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    app = await App.start(settings, project, shares_port=shares_port)
    _spare_the_collector()
    for number in _STOPPING:
        loop.add_signal_handler(number, on_signal)
    on_started(app)
    await stop.wait()
    _end_after(
        settings.shutdown_delay_seconds
        + settings.shutdown_grace_seconds
        + settings.shutdown_timeout_seconds
    )
    await app.stop()


def _spare_the_collector() -> None:
    """Keeps what was loaded at the start out of Python's garbage collections.

    Graphs and their libraries are a million objects that never go; looking at them again and
    again would stop every run for a tenth of a second now and then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _end_after(seconds: float) -> None:
    """Ends the process after a time, on a thread: whatever holds up the stop, it ends."""

    def end() -> None:
        _log.error(
            "stop_took_too_long",
            seconds=seconds,
            hint="what was not handed back is taken over when the lease has run out",
        )
        os._exit(_STOPPED_LATE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
