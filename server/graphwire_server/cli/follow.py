"""Follows a run to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import typer
from graphwire import RunStream
from graphwire.enums import RunStatus
from graphwire.events import End, Interrupted
from graphwire.values import Pause, RunError

from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import fail, say
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.view import View


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


def follow(stream: RunStream, view: View, connection: Connection) -> Outcome:
    """Shows a run's events to the last; Ctrl-C leaves the run going and exits."""
    pauses: tuple[Pause, ...] = ()
    end: End | None = None
    try:
        with stream, view:
            for event in stream:
                view.show(event)
                match event:
                    case Interrupted():
                        pauses = event.pauses
                    case End():
                        end = event
    except KeyboardInterrupt:
        _detach(stream, connection)
    assert end is not None  # a stream without an end raises
    return Outcome(
        run_id=stream.run_id,
        thread_id=stream.thread_id,
        status=end.status,
        error=end.error,
        pauses=pauses,
        checkpoint_id=end.checkpoint_id,
    )


def exit_code(outcome: Outcome) -> ExitCode:
    """Returns the exit code for a run that has ended; says on stderr how it failed."""
    match outcome.status:
        case RunStatus.SUCCEEDED:
            return ExitCode.OK
        case RunStatus.INTERRUPTED:
            return ExitCode.PAUSED
        case RunStatus.CANCELLED:
            say("the run was cancelled", style="red")
        case _:
            say(_failure(outcome), style="red")
    return ExitCode.FAILED


def _failure(outcome: Outcome) -> str:
    verb = "timed out" if outcome.status is RunStatus.TIMED_OUT else "failed"
    error = outcome.error
    if error is None:
        return f"the run {verb}"
    place = f" in {error.node}" if error.node else ""
    return f"the run {verb}{place}: {error.type}: {error.message}"


def _detach(stream: RunStream, connection: Connection) -> NoReturn:
    if not stream.run_id:
        fail("interrupted before the run was known", ExitCode.INTERRUPTED)
    say(
        "the run goes on; watch it again, or stop it:",
        connection.command("runs", "join", stream.run_id),
        connection.command("runs", "cancel", stream.run_id),
    )
    raise typer.Exit(ExitCode.INTERRUPTED)
