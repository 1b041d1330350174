"""Processes that measure when they are told to, and are idle meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Self

import uvloop

#: The scripted model, as fast as it can.
ENVIRONMENT = {"MODEL": "", "WEATHER_TOKEN_DELAY": "0"}


class Worker:
    """A process that runs `serve_measurements`."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Starts a module with arguments."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )

    def measure(self, name: str, **arguments: Any) -> Any:
        """Has a measurement carried out, and returns its result.

        Raises:
            RuntimeError: It failed; its traceback is on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, arguments]), file=self._process.stdin, flush=True)
        if not (result := self._process.stdout.readline()):
            raise RuntimeError(f"the measurement {name!r} with {arguments} failed")
        return json.loads(result)

    def __enter__(self) -> Self:
        """Returns the worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process, whatever it is doing."""
        with self._process:
            self._process.terminate()


async def serve_measurements(measurements: Mapping[str, Callable[..., Awaitable[Any]]]) -> None:
    """Reads names and arguments from standard input and writes results, to its end."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, arguments = json.loads(line)
        print(json.dumps(await measurements[name](**arguments)), flush=True)


def run_worker(main: Coroutine[Any, Any, None]) -> None:
    """Runs a worker on the kind of event loop that the server has, for a fair comparison."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
