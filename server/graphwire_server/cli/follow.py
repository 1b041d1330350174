"""Follows a run to its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, NoReturn

import typer
from graphwire import RunStream
from graphwire.enums import RunStatus
from graphwire.errors import GraphwireError
from graphwire.events import End, Interrupted
from graphwire.values import Pause, RunError

from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import fail, say
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.view import View

#: Asks for a run to pause, by its id.
AsksToPause = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        run_id: The run.
        thread_id: Its thread; empty if its beginning was not seen.
        status: Its final status.
        error: What happened, if it failed.
        pauses: What it is paused at.
        checkpoint_id: Where the thread stands.
    """

    run_id: str
    thread_id: str
    status: RunStatus
    error: RunError | None
    pauses: tuple[Pause, ...]
    checkpoint_id: str


def follow(
    stream: RunStream, view: View, connection: Connection, *, pause: AsksToPause | None = None
) -> Outcome:
    """Shows a run's events to the last.

    Args:
        stream: The run.
        view: Shows its events.
        connection: The connection, for the commands that are suggested.
        pause: Asks for the run to pause, which Ctrl-C does the first time; another one leaves it
            to that and exits. None: the first one leaves the run going already.
    """
    view.follow(stream)
    pauses: tuple[Pause, ...] = ()
    end: End | None = None
    first = None if pause is None else _FirstPauses(stream, view, pause)
    try:
        with first or nullcontext(), stream, view:
            for event in stream:
                view.show(event)
                match event:
                    case Interrupted():
                        pauses = event.pauses
                    case End():
                        end = event
    except KeyboardInterrupt:
        _detach(stream, connection, pauses=first is not None and first.pauses)
    assert end is not None  # a stream without an end raises
    return Outcome(
        run_id=stream.run_id,
        thread_id=stream.thread_id,
        status=end.status,
        error=end.error,
        pauses=pauses,
        checkpoint_id=end.checkpoint_id,
    )


_LEAVES = "Ctrl-C again leaves it to that"
#: For how long a pause that was asked for holds up somebody who leaves.
_ASKING_SECONDS = 5.0


class _FirstPauses(AbstractContextManager[None]):
    """Has the first Ctrl-C pause a run; the next one interrupts as ever.

    Attributes:
        pauses: Whether a pause was asked for, and not refused as far as is known.
    """

    def __init__(self, stream: RunStream, view: View, pause: AsksToPause) -> None:
        self._stream = stream
        self._view = view
        self._pause = pause
        self.pauses = False
        self._before: Any = None
        self._asking: threading.Thread | None = None

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._asked)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if exc is not None and self._asking is not None:
            # Who leaves right after it has asked for a pause all the same.
            self._asking.join(_ASKING_SECONDS)

    def _asked(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._stream.run_id:
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, self._before)
        self._view.note(f"asking it to pause…   {_LEAVES}")
        self.pauses = True
        # Beside the stream, which goes on meanwhile and brings the pause.
        self._asking = threading.Thread(target=self._ask, args=(self._stream.run_id,), daemon=True)
        self._asking.start()

    def _ask(self, run_id: str) -> None:
        try:
            self._pause(run_id)
        except GraphwireError as error:
            # It has ended meanwhile, or can't be paused: the stream goes on and says so.
            self.pauses = False
            self._view.note(f"not paused: {error}")
        else:
            self._view.note(f"pausing…   {_LEAVES}")


def exit_code(outcome: Outcome, *, back: str = "") -> ExitCode:
    """Returns the exit code for a run that has ended; says on stderr how it failed.

    Args:
        outcome: How it has ended.
        back: The command that comes back to its thread; empty: nobody is to hear of it.
    """
    match outcome.status:
        case RunStatus.SUCCEEDED:
            return ExitCode.OK
        case RunStatus.INTERRUPTED:
            return ExitCode.PAUSED
        case RunStatus.CANCELLED:
            say("the run was cancelled", style="red")
        case _:
            say(_failure(outcome), style="red")
            if back:
                say("to look at the thread, or go on from there:", back)
    return ExitCode.FAILED


def _failure(outcome: Outcome) -> str:
    verb = "timed out" if outcome.status is RunStatus.TIMED_OUT else "failed"
    error = outcome.error
    if error is None:
        return f"the run {verb}"
    place = f" in {error.node}" if error.node else ""
    return f"the run {verb}{place}: {error.type}: {error.message}"


def _detach(stream: RunStream, connection: Connection, *, pauses: bool) -> NoReturn:
    """Says what becomes of a run that is not watched any more, and exits."""
    if not stream.run_id:
        fail("interrupted before the run was known", ExitCode.INTERRUPTED)
    goes_on = "the run goes on; watch it again, or stop it:"
    back: tuple[str, ...] = ("runs", "join", stream.run_id)
    if pauses and stream.thread_id:
        goes_on = "the run was asked to pause, before its next node; come back to it, or stop it:"
        back = ("attach", stream.thread_id)
    commands = (back, ("runs", "cancel", stream.run_id))
    say(goes_on, *(connection.command(*words) for words in commands))
    raise typer.Exit(ExitCode.INTERRUPTED)
