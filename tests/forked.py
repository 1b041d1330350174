"""The command `graphwire` in a process of its own, forked from one that has imported it already.

To import it takes longer than most tests do. What it does from then on is what it does when a
shell starts it, which tests/cli/test_serve.py, the README's and the examples' tests do.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from typing import Any, BinaryIO

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])

#: Held to start a process and to ask how one has ended: that can be read just once, and whoever
#: starts one asks of all the others as well.
_REAPING = threading.Lock()


class Forked:
    """A function in a process of its own, with the interface of `subprocess.Popen`.

    Attributes:
        pid: The process.
    """

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        """Starts it. The arguments are pickled; the process ends with this one."""
        self._process = _CONTEXT.Process(target=target, args=args, daemon=True)
        with _REAPING:
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self.poll()

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` takes: ready when it has ended."""
        return self._process.sentinel

    def poll(self) -> int | None:
        """Returns the exit code, or None while it runs."""
        with _REAPING:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits, `timeout` seconds at most, until it has ended; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Inherited:
    """A file descriptor that a forked process gets a copy of."""

    def __init__(self, descriptor: int) -> None:
        """Takes one that is open until the process has started."""
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[..., int], tuple[Any]]:
        """What the process has in its place: the number of its copy."""
        return _number, (DupFd(self._descriptor),)


def _number(copy: Any) -> int:
    number: int = copy.detach()
    return number


def command(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int = -1,
    stdout: int,
    stderr: int,
) -> Forked:
    """Starts the command `graphwire`.

    Args:
        arguments: Those of the command, such as `serve`.
        environment: Its environment: all of it.
        stdin: A descriptor to read from; by default there is nothing to read.
        stdout: A descriptor to write to, as for a pipe or a terminal.
        stderr: One for errors.
    """
    if stdin >= 0:
        return Forked(
            _command, arguments, dict(environment), *map(Inherited, (stdin, stdout, stderr))
        )
    with open(os.devnull, "rb") as nothing:
        return command(arguments, environment, stdin=nothing.fileno(), stdout=stdout, stderr=stderr)


def _command(
    arguments: Sequence[str], environment: dict[str, str], stdin: int, stdout: int, stderr: int
) -> None:
    for number, descriptor in enumerate((stdin, stdout, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0, closefd=False), _writer(1), _writer(2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["graphwire", *arguments]

    from graphwire_server.__main__ import main

    main()


def _writer(number: int) -> io.TextIOWrapper:
    """What Python itself makes of a descriptor at its start: stderr and terminals go by lines."""
    binary: BinaryIO = os.fdopen(number, "wb", closefd=False)
    by_lines = number == 2 or os.isatty(number)
    errors = "backslashreplace" if number == 2 else "strict"
    return io.TextIOWrapper(binary, errors=errors, line_buffering=by_lines)
