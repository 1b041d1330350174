"""Calls the `graphwire` command: in this process, in one of its own, or at a terminal."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from graphwire_server.cli import main

from tests.forked import command

COMMAND = (sys.executable, "-m", "graphwire")
SECONDS = 60

ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: What is written to a terminal: movements of the cursor, colours and the like, text.
_PIECES = re.compile(
    r"\x1b\[\??(?P<number>\d*)[\d;]*(?P<command>[A-Za-z])|[\r\n\b]|[^\x1b\r\n\b]+|\x1b"
)
_SECONDS_TAKEN = re.compile(r"\b\d+\.\d s\b")
_LEFT_OUT = ("COLUMNS", "EDITOR", "FORCE_COLOR", "LINES", "NO_COLOR", "TERM", "VISUAL")


@dataclass(frozen=True)
class Result:
    """What a call of the command gave.

    Attributes:
        code: The exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(**more: str) -> dict[str, str]:
    """Returns an environment without what would change the command's output."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _LEFT_OUT and not name.startswith("GRAPHWIRE_")
    }
    return {**kept, "WEATHER_TOKEN_DELAY": "0", **more}


def call(*args: str, server: str | None = None, env: Mapping[str, str] | None = None) -> Result:
    """Calls the command in this process: the same code, without the start of another one."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["graphwire", *args, *(("--server", server) if server else ())]
    with (
        mock.patch.dict(os.environ, environment(**(env or {})), clear=True),
        mock.patch.object(sys, "argv", argv),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit:
            code = int(exit.code or 0)
        else:
            code = 0
    return Result(code, out.getvalue(), err.getvalue())


def run(
    *args: str, server: str | None = None, env: Mapping[str, str] | None = None, stdin: str = ""
) -> Result:
    """Calls the command as a process of its own, with pipes."""
    done = subprocess.run(
        [*COMMAND, *args, *(("--server", server) if server else ())],
        input=stdin,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def refused_start(*args: str, env: Mapping[str, str] | None = None) -> Result:
    """Calls a server that is not to start, in a process of its own.

    One that could not start leaves it by force.
    """
    arguments = ["serve", *args, "--listen", "127.0.0.1:0"]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        server = command(
            arguments, environment(**(env or {})), stdout=out.fileno(), stderr=err.fileno()
        )
        code = server.wait(SECONDS)
        out.seek(0)
        err.seek(0)
        return Result(code, out.read(), err.read())


def masked(text: str) -> str:
    """Returns a text with ids and durations that differ from run to run taken out."""
    return _SECONDS_TAKEN.sub("<n> s", ID.sub("<id>", text))


class AtATerminal:
    """The command at a terminal.

    Attributes:
        process: Its process.
    """

    def __init__(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        columns: int = 80,
        rows: int = 40,
    ) -> None:
        """Starts it."""
        self._written = b""
        self._seen = 0
        self._terminal, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = command(
            args,
            environment(TERM="xterm", **(env or {})),
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
        )
        os.close(its_end)

    def __enter__(self) -> AtATerminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.wait()
        os.close(self._terminal)

    @property
    def screen(self) -> str:
        """What it has written so far, without colours and movements of the cursor."""
        text = self._written.decode(errors="replace").replace("\r\n", "\n")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")

    @property
    def picture(self) -> str:
        """What can be seen of all that, on a terminal that is high enough not to scroll."""
        lines, row, column = [""], 0, 0
        for piece in _PIECES.finditer(self._written.decode(errors="replace")):
            text, number, command = piece[0], int(piece["number"] or 1), piece["command"]
            if command == "A":
                row = max(0, row - number)
            elif command == "K":
                kept = 0 if piece["number"] == "2" else column
                lines[row] = lines[row][:kept]
            elif text == "\r":
                column = 0
            elif text == "\b":
                column = max(0, column - 1)
            elif text == "\n":
                row, lines = row + 1, [*lines, *([""] if row + 1 == len(lines) else [])]
            elif command is None and text >= " ":
                line = lines[row].ljust(column)
                lines[row] = f"{line[:column]}{text}{line[column + len(text) :]}"
                column += len(text)
        return "\n".join(line.rstrip() for line in lines)

    @property
    def raw(self) -> bytes:
        """What it has written so far, as it was written."""
        return self._written

    def type(self, text: str) -> None:
        """Types a text."""
        os.write(self._terminal, text.encode())

    def answer(self, question: str, text: str) -> None:
        """Waits for a question and types a line."""
        self.read_until(question)
        self.type(f"{text}\n")

    def interrupt(self) -> None:
        """Does what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def read_until(self, text: str) -> None:
        """Reads on until it has written a text."""
        deadline = time.monotonic() + SECONDS
        while (found := self.screen.find(text, self._seen)) < 0:
            assert self._read(deadline), f"it ended without {text!r}:\n{self.screen}"
        self._seen = found + len(text)

    def read_for(self, seconds: float) -> None:
        """Reads what comes within a time."""
        until = time.monotonic() + seconds
        while select.select([self._terminal], [], [], max(0.0, until - time.monotonic()))[0]:
            self._read(until + SECONDS)

    def wait(self) -> int:
        """Reads to the end and returns the exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(SECONDS)

    def _read(self, deadline: float) -> bool:
        """Reads what there is, waiting for it; returns whether there is more to come."""
        ready, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
        assert ready, f"it does not go on:\n{self.screen}"
        try:
            piece = os.read(self._terminal, 65536)
        except OSError:  # how a terminal says that nobody writes to it any more
            return False
        self._written += piece
        return bool(piece)


def in_order(text: str, parts: Sequence[str]) -> bool:
    """Tells whether a text contains all parts, one after another."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True
