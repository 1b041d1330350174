"""`graphwire attach`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import Target, Tls, Token, paragraphs
from graphwire_server.cli.connection import DEFAULT_TARGET, Connection, connected

_EPILOG = paragraphs(
    "A thread that is running is watched until it pauses or ends; Ctrl-C pauses it. Then it asks "
    "what to do next, and stays until you `quit`: `help` there says more.",
    "Exit codes: 0 left, 1 refused, 2 wrong usage, 3 no server, 4 left while the thread is paused.",
)


def attach(
    thread: Annotated[str, typer.Argument(metavar="THREAD", help="The thread's id.")],
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Join a thread: watch it, pause it, go on with it, look back."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.attach import attach as attach_to

        raise typer.Exit(attach_to(client, connection, thread))


def add_to(app: typer.Typer) -> None:
    """Adds the command to an app."""
    app.command(epilog=_EPILOG)(attach)
