"""`graphwire runs`: its commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import Json, Limit, Target, Tls, Token
from graphwire_server.cli.connection import DEFAULT_TARGET, Connection, connected

app = typer.Typer(no_args_is_help=True)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


@app.command("list")
def list_(
    thread: Annotated[str, typer.Argument(metavar="THREAD", help="The thread's id.")],
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            help="Only runs that are pending, running, interrupted, succeeded, failed, "
            "cancelled or timed_out. May be repeated.",
        ),
    ] = None,
    limit: Limit = 20,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """List a thread's runs, newest first."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.runs import list_runs

        list_runs(client, thread, statuses=status or (), limit=limit, as_json=as_json)


@app.command()
def show(
    run: RunId,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Show a run."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.runs import show_run

        show_run(client, run, as_json=as_json)


@app.command()
def cancel(
    run: RunId,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Do not wait for nodes that can't be stopped."),
    ] = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Cancel a run, and wait until it has ended."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.runs import cancel_run

        cancel_run(client, run, abandon=abandon)


@app.command()
def join(
    run: RunId,
    after: Annotated[
        int,
        typer.Option(metavar="SEQUENCE", min=0, help="Only the events after this one."),
    ] = 0,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Watch a run, from its first event to its end; also one that is over."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.runs import join_run

        raise typer.Exit(join_run(client, connection, run, after_sequence=after, as_json=as_json))
