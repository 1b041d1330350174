"""`graphwire serve --workers`: several server processes behind one port.

Each is an interpreter of its own, started afresh: gRPC does not survive a fork. The kernel
gives every new connection to one of those that listen.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import structlog
import typer

from graphwire_server.cli.banner import announce
from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.handing_on import as_option
from graphwire_server.cli.listening import check_transport, resolve
from graphwire_server.graphs.project import ProjectError, load_project
from graphwire_server.logs import configure_logging

if TYPE_CHECKING:
    from graphwire_server.settings import Settings

_log = structlog.get_logger("graphwire.server")

#: A worker that has listened for so long, in seconds, is not broken from the start.
_SETTLED = 10.0
#: How often in a row a worker may end before that, until it is given up.
_FAILURES = 5
#: How long to wait before a worker is started again, in seconds: at first, and at the most.
_SHORTEST, _LONGEST = 0.1, 4.0

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_with_workers(settings: Settings, given: Mapping[str, Any]) -> None:
    """Serves with several processes until SIGTERM or Ctrl-C.

    Args:
        settings: The settings.
        given: Those that were given as options, to be handed on.
    """
    try:
        project = load_project(settings.project)
    except ProjectError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    check_transport(settings)
    configure_logging(settings.log_level, settings.log_format)
    ours = ("project", "listen", "workers", "metrics_listen")
    options = [as_option(name, given[name]) for name in given if name not in ours]
    with _reserved(settings.listen) as listen:
        command = [
            *(sys.executable, "-m", "graphwire", "serve", str(settings.project)),
            *(*options, f"--listen={listen}"),
        ]
        supervisor = _Supervisor(
            command,
            settings.workers,
            lambda: announce(listen, settings, project, None, admin=settings.admin_listen),
            settings.metrics_listen,
        )
        code = asyncio.run(supervisor.run())
    raise typer.Exit(code)


@contextlib.contextmanager
def _reserved(listen: str) -> Iterator[str]:
    """Keeps an address for workers, also while none of them listens; yields it with its port."""
    host = listen.rpartition(":")[0]
    family, address = resolve(listen)
    with socket.socket(family, socket.SOCK_STREAM) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind(address)
        except OSError as error:
            fail(f"can't listen on {listen}: {error.strerror}", ExitCode.UNAVAILABLE)
        # It does not listen itself, so no connection ever waits here.
        yield f"{host}:{reserved.getsockname()[1]}"


class _Supervisor:
    """Keeps workers running."""

    def __init__(
        self,
        command: list[str],
        workers: int,
        on_started: Callable[[], None],
        metrics_listen: str = "",
    ) -> None:
        self._metrics_listen = metrics_listen
        self._command = command
        self._workers = workers
        self._on_started = on_started
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._listening: set[int] = set()
        self._changed = asyncio.Condition()
        self._stop = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._signals = 0
        self._code = 0
        self._clean = True
        self._replaced = 0

    async def run(self) -> int:
        """Runs them to the end of the last; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self._on_signal)
        # The first one alone: it brings the schema up to date, and what keeps it from
        # starting would keep the others, and is said once.
        keepers = [asyncio.create_task(self._keep(1))]
        if await self._until_listening(1):
            keepers += [asyncio.create_task(self._keep(n)) for n in range(2, self._workers + 1)]
            if await self._until_listening(self._workers):
                self._on_started()
        await asyncio.gather(*keepers)
        if self._code:
            return self._code
        if self._signals > 1:
            return ExitCode.INTERRUPTED
        return ExitCode.OK if self._clean else ExitCode.UNAVAILABLE

    async def _until_listening(self, workers: int) -> bool:
        """Waits until so many have listened; returns False if it is to stop before."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: len(self._listening) >= workers or self._stop.is_set()
            )
        return not self._stop.is_set()

    async def _keep(self, number: int) -> None:
        """Starts a worker, again and again until all are to stop."""
        failures = 0
        while not self._stop.is_set():
            code, listened = await self._run(number)
            if self._stop.is_set():
                # One that was just about to start does not know yet how to stop in order.
                self._clean = self._clean and code in (0, -signal.SIGTERM)
                return
            failures = 0 if listened > _SETTLED else failures + 1
            if not self._listening or failures >= _FAILURES:
                # Why is on stderr already, by the worker's own word.
                if self._listening:
                    _log.error(
                        "worker_given_up",
                        worker=number,
                        how=_ended(code),
                        hint=f"it has ended {failures} times as soon as it was started: why is "
                        "in the lines before",
                    )
                self._code = code if code > 0 else ExitCode.UNAVAILABLE
                await self._end()
                return
            delay = min(_SHORTEST * 2**failures, _LONGEST)
            self._replaced += 1
            _log.warning(
                "worker_ended",
                worker=number,
                how=_ended(code),
                listened=round(listened, 1),
                replaced=self._replaced,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)

    async def _run(self, number: int) -> tuple[int, float]:
        """Runs a worker to its end; returns its exit code, and for how long it has listened."""
        loop, listened_at = asyncio.get_running_loop(), None
        ours, its = socket.socketpair()
        ours.setblocking(False)
        with ours:
            with its:
                # In a process group of its own: a Ctrl-C comes here alone.
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    *self._metrics_option(number),
                    f"--worker-link={its.fileno()}",
                    pass_fds=(its.fileno(),),
                    process_group=0,
                )
            self._processes[number] = process
            if self._stop.is_set():
                self._signal(signal.SIGTERM)
            if await loop.sock_recv(ours, 1):
                listened_at = loop.time()
                self._listening.add(number)
                async with self._changed:
                    self._changed.notify_all()
            code = await process.wait()
        del self._processes[number]
        return code, loop.time() - listened_at if listened_at is not None else 0.0

    def _metrics_option(self, number: int) -> list[str]:
        """Returns where a worker lets its metrics be read: each has a port of its own."""
        host, _, port = self._metrics_listen.rpartition(":")
        if not host:
            return []
        own = int(port) and int(port) + number - 1
        return [f"--metrics-listen={host}:{own}"]

    async def _end(self) -> None:
        """Stops all."""
        self._stop.set()
        self._signal(signal.SIGTERM)
        async with self._changed:
            self._changed.notify_all()

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 1:
            self._signal(signal.SIGKILL)
        else:
            self._ending = asyncio.create_task(self._end())

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)


def _ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
