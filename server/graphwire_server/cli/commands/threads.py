"""`graphwire threads`: its commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import Json, Limit, Target, Tls, Token
from graphwire_server.cli.connection import DEFAULT_TARGET, Connection, connected

app = typer.Typer(no_args_is_help=True)

ThreadId = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's id.")]


@app.command("list")
def list_(
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            help="Only threads that are idle, busy, interrupted or error. May be repeated.",
        ),
    ] = None,
    assistant: Annotated[
        str, typer.Option(metavar="ID", help="Only threads of this assistant.")
    ] = "",
    metadata: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE|-", help="Only threads whose metadata contains this object."
        ),
    ] = None,
    limit: Limit = 20,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """List threads, newest first."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.threads import list_threads

        list_threads(
            client,
            statuses=status or (),
            assistant_id=assistant,
            metadata=metadata,
            limit=limit,
            as_json=as_json,
        )


@app.command()
def show(
    thread: ThreadId,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Show a thread, and what it is paused at."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.threads import show_thread

        show_thread(client, connection, thread, as_json=as_json)


@app.command()
def history(
    thread: ThreadId,
    limit: Limit = 20,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """List a thread's checkpoints, newest first."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.threads import show_history

        show_history(client, thread, limit=limit, as_json=as_json)


@app.command()
def state(
    thread: ThreadId,
    checkpoint: Annotated[
        str, typer.Option(metavar="ID", help="The checkpoint. Default: the newest.")
    ] = "",
    subgraphs: Annotated[
        bool, typer.Option("--subgraphs", help="With --json: the states of subgraphs too.")
    ] = False,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Show a thread's state."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.threads import show_state

        show_state(client, thread, checkpoint_id=checkpoint, subgraphs=subgraphs, as_json=as_json)


@app.command()
def delete(
    threads: Annotated[list[str], typer.Argument(metavar="THREAD...", help="The threads' ids.")],
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Delete threads with their runs and checkpoints."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.threads import delete_threads

        delete_threads(client, threads)
