"""`graphwire threads`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from graphwire import Client
from graphwire.enums import ThreadStatus
from graphwire.values import Thread, ThreadState
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import err, out
from graphwire_server.cli.inputs import read_members, read_object
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


def list_threads(
    client: Client,
    *,
    statuses: Sequence[str],
    assistant_id: str,
    metadata: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Lists threads, newest first."""
    wanted = read_members("--status", statuses, ThreadStatus)
    threads = client.threads.list(
        statuses=wanted,
        assistant_id=assistant_id,
        metadata=read_object("--metadata", metadata),
        limit=limit,
    )
    if as_json:
        for thread in threads:
            jsonlines.write(thread)
        return
    console = out()
    rows = [
        (
            Text(thread.thread_id),
            status_text(thread.status),
            Text(thread.assistant_id),
            Text(", ".join(thread.next)),
            time_text(console, thread.update_time),
        )
        for thread in threads
    ]
    show_table(console, ("thread", "status", "assistant", "next", "updated"), rows)


def show_thread(client: Client, connection: Connection, thread_id: str, *, as_json: bool) -> None:
    """Shows a thread, and what it is paused at."""
    thread = client.threads.get(thread_id)
    if as_json:
        jsonlines.write(thread)
        return
    console = out()
    show_fields(
        console,
        [
            ("thread", Text(thread.thread_id, style="bold")),
            ("status", status_text(thread.status)),
            ("error", optional(_error(thread), "red")),
            ("assistant", optional(thread.assistant_id)),
            ("next", optional(", ".join(thread.next))),
            ("checkpoint", optional(thread.checkpoint_id)),
            ("created", time_text(console, thread.create_time)),
            ("updated", time_text(console, thread.update_time)),
            ("kept for", _kept_for(thread)),
            ("metadata", json_value(thread.metadata)),
        ],
    )
    if thread.pauses:
        show_pauses(console, thread.pauses)
        explain_pause(connection, thread_id, thread.pauses)


def show_history(client: Client, thread_id: str, *, limit: int, as_json: bool) -> None:
    """Lists a thread's checkpoints, newest first."""
    states = client.threads.history(thread_id, limit=limit)
    if as_json:
        for state in states:
            jsonlines.write(state)
        return
    console = out()
    rows = [
        (
            Text(state.checkpoint_id),
            Text(str((state.metadata or {}).get("step", ""))),
            Text(str((state.metadata or {}).get("source", ""))),
            Text(", ".join(state.next)),
            time_text(console, state.create_time),
        )
        for state in states
    ]
    show_table(console, ("checkpoint", "step", "made by", "next", "made"), rows)


def show_state(
    client: Client, thread_id: str, *, checkpoint_id: str, subgraphs: bool, as_json: bool
) -> None:
    """Shows a thread's state: what it is on stderr, its values on stdout."""
    state = client.threads.state(thread_id, checkpoint_id=checkpoint_id, subgraphs=subgraphs)
    if as_json:
        jsonlines.write(state)
        return
    show_fields(err(), _state_fields(state))
    out().print_json(data=jsonlines.plain(state.values), ensure_ascii=False)


def delete_threads(client: Client, thread_ids: Sequence[str]) -> None:
    """Deletes threads."""
    for thread_id in thread_ids:
        client.threads.delete(thread_id)
        sys.stdout.write(f"deleted {thread_id}\n")


def _state_fields(state: ThreadState) -> list[tuple[str, Text | None]]:
    tasks = [
        f"{task.node}: {task.error.type}: {task.error.message}" if task.error else task.node
        for task in state.tasks
    ]
    return [
        ("checkpoint", optional(state.checkpoint_id)),
        ("next", optional(", ".join(state.next))),
        ("tasks", optional(", ".join(tasks))),
    ]


def _kept_for(thread: Thread) -> Text | None:
    if thread.ttl is None:
        return None
    return Text(f"{thread.ttl} after its last change" if thread.ttl else "ever")


def _error(thread: Thread) -> str:
    error = thread.error
    if error is None:
        return ""
    return f"{error.type}: {error.message}" + (f" (in {error.node})" if error.node else "")
