"""Real servers for the tests: the `graphwire serve` command in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tests.forked import Forked, command

ZOO = Path(__file__).parent / "zoo"
WEATHER = Path(__file__).parent.parent / "examples" / "weather_agent"

_START_SECONDS = 60
_STOP_SECONDS = 30


class ServerProcess:
    """A server on a port of its own, forked from a process that has imported it already.

    Attributes:
        address: Where it listens.
        database: Its SQLite file, or the address of its database.
    """

    def __init__(
        self, database: Path | str, project: Path = ZOO, *, env: Mapping[str, str] | None = None
    ) -> None:
        """Describes a server; `start` starts it."""
        self.address = ""
        self.database = database
        self._log: list[str] = []
        self._project = project
        self._env = {**os.environ, "WEATHER_TOKEN_DELAY": "0", **(env or {})}
        self._process: Forked | subprocess.Popen[bytes] | None = None
        self._pipes: list[IO[str]] = []
        self._readers: list[threading.Thread] = []

    @property
    def log(self) -> str:
        """Everything that it has written to standard error so far."""
        return "".join(self._log)

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether there is such a process."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts it and waits until it listens. On a second start it keeps its port."""
        listen = self.address or "127.0.0.1:0"
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        self._pipes = [os.fdopen(end, encoding="utf-8") for end in (out, err)]
        arguments = ["serve", str(self._project), "--listen", listen]
        arguments += ["--database", str(self.database)]
        self._process = self._launch(arguments, its_out, its_err)
        os.close(its_out)
        os.close(its_err)
        printed, log = self._pipes
        self._readers = [self._read(lambda: self._keep(log))]
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        try:
            for line in printed:
                if line.startswith("listening on "):
                    self.address = line.removeprefix("listening on ").strip()
                    break
            else:
                self.wait()
                raise AssertionError(f"the server did not start:\n{self.log}")
        finally:
            timer.cancel()
        # What else it prints is of no interest, but must not fill the pipe.
        self._readers.append(self._read(printed.read))
        return self

    def kill(self) -> None:
        """Kills it with SIGKILL."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Stops it with SIGTERM and returns its exit code. None that ran is no error."""
        if self._process is None:
            return 0
        if self.is_running:
            self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Waits until it has ended, and returns its exit code."""
        assert self._process is not None
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the server did not stop:\n{self.log}") from None
        for reader in self._readers:
            reader.join(_STOP_SECONDS)
            assert not reader.is_alive(), f"something that it started still runs:\n{self.log}"
        for pipe in self._pipes:
            pipe.close()
        return code

    def _launch(
        self, arguments: Sequence[str], stdout: int, stderr: int
    ) -> Forked | subprocess.Popen[bytes]:
        return command(arguments, self._env, stdout=stdout, stderr=stderr)

    def _read(self, target: Callable[[], object]) -> threading.Thread:
        reader = threading.Thread(target=target, daemon=True)
        reader.start()
        return reader

    def _keep(self, lines: IO[str]) -> None:
        for line in lines:
            self._log.append(line)


class FreshServerProcess(ServerProcess):
    """The same, as a shell starts it: it shares nothing with another process."""

    def _launch(
        self, arguments: Sequence[str], stdout: int, stderr: int
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "graphwire_server", *arguments]
        return subprocess.Popen(command, stdout=stdout, stderr=stderr, env=self._env)
