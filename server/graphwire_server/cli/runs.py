"""`graphwire runs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from graphwire import Client
from graphwire.enums import RunStatus
from graphwire.values import Run
from rich.console import Console
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.breakspec import breakpoint_words
from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import out, say
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.follow import Outcome, exit_code, follow
from graphwire_server.cli.inputs import read_members
from graphwire_server.cli.pauses import show_pauses
from graphwire_server.cli.run import explain_pause
from graphwire_server.cli.tables import (
    json_value,
    optional,
    show_fields,
    show_table,
    status_text,
    time_text,
)
from graphwire_server.cli.view import HumanView, JsonView


def list_runs(
    client: Client, thread_id: str, *, statuses: Sequence[str], limit: int, as_json: bool
) -> None:
    """Lists a thread's runs, newest first."""
    runs = client.runs.list(
        thread_id, statuses=read_members("--status", statuses, RunStatus), limit=limit
    )
    if as_json:
        for run in runs:
            jsonlines.write(run)
        return
    console = out()
    rows = [
        (
            Text(run.run_id),
            status_text(run.status),
            Text(run.assistant_id),
            time_text(console, run.create_time),
            Text(_took(run)),
            Text(_error(run), style="red"),
        )
        for run in runs
    ]
    show_table(console, ("run", "status", "assistant", "accepted", "took", "error"), rows)


def show_run(client: Client, run_id: str, *, as_json: bool) -> None:
    """Shows a run."""
    run = client.runs.get(run_id)
    if as_json:
        jsonlines.write(run)
    else:
        _show(out(), run)


def cancel_run(client: Client, run_id: str, *, abandon: bool) -> None:
    """Asks to cancel a run, and waits until it has ended."""
    client.runs.cancel(run_id, abandon=abandon)
    status = client.runs.wait(run_id).run.status
    sys.stdout.write(f"{run_id} {status}\n")


def join_run(
    client: Client, connection: Connection, run_id: str, *, after_sequence: int, as_json: bool
) -> ExitCode:
    """Shows the events of a run, those there are and those to come, to its end."""
    run = client.runs.get(run_id) if after_sequence else None
    if run is not None and run.end_time is not None and run.last_sequence == after_sequence:
        say(f"the run has ended, {run.status}: nothing comes after event {after_sequence}")
        outcome = _outcome_of(run)
    else:
        view = JsonView() if as_json else HumanView(out())
        outcome = follow(client.runs.join(run_id, after_sequence=after_sequence), view, connection)
    if outcome.status is RunStatus.INTERRUPTED:
        # Its beginning, which names the thread, is not shown after a later event.
        thread_id = run.thread_id if run is not None else outcome.thread_id
        # The run may be long over: only what the thread waits at still can be resumed.
        if still_open := client.threads.get(thread_id).pauses:
            if not as_json:
                show_pauses(out(), still_open)
            explain_pause(connection, thread_id, still_open)
    return exit_code(outcome)


def _show(console: Console, run: Run) -> None:
    breakpoints = [f"before {node}" for node in run.interrupt_before]
    breakpoints += [f"after {node}" for node in run.interrupt_after]
    breakpoints += [breakpoint_words(each) for each in run.breakpoints]
    show_fields(
        console,
        [
            ("run", Text(run.run_id, style="bold")),
            ("status", status_text(run.status)),
            ("error", optional(_error(run), "red")),
            ("cancel", optional("asked for" if _is_stopping(run) else "", "yellow")),
            ("thread", Text(run.thread_id)),
            ("assistant", Text(run.assistant_id)),
            ("accepted", time_text(console, run.create_time)),
            ("took", optional(_took(run))),
            ("resumes", optional(run.resumed_run_id)),
            ("resumed by", optional(run.resumed_by_run_id)),
            ("breakpoints", optional(", ".join(breakpoints))),
            ("events", Text(f"{run.last_sequence} ({', '.join(run.stream_modes).lower()})")),
            ("durability", Text(run.durability.lower())),
            ("metadata", json_value(run.metadata)),
        ],
    )


def _outcome_of(run: Run) -> Outcome:
    """Returns how a run has ended of which no event is to be shown any more."""
    return Outcome(
        run_id=run.run_id,
        thread_id=run.thread_id,
        status=run.status,
        error=run.error,
        pauses=(),
        checkpoint_id="",
    )


def _is_stopping(run: Run) -> bool:
    return run.cancel_requested and run.end_time is None


def _took(run: Run) -> str:
    if run.start_time is None or run.end_time is None:
        return ""
    return f"{(run.end_time - run.start_time).total_seconds():.1f} s"


def _error(run: Run) -> str:
    error = run.error
    if error is None:
        return ""
    return f"{error.type}: {error.message}" + (f" (in {error.node})" if error.node else "")
