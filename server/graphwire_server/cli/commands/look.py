"""`graphwire graph` and `graphwire version`: their options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import Json, Target, Tls, Token, paragraphs
from graphwire_server.cli.connection import DEFAULT_TARGET, Connection, connected

_GRAPH_EPILOG = paragraphs(
    "Examples:",
    "    graphwire graph agent",
    "    graphwire graph agent --mermaid > agent.mmd",
)


def graph(
    assistant: Annotated[
        str | None,
        typer.Argument(
            metavar="ASSISTANT", help="The assistant. Default: the only one.", show_default=False
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option(metavar="N", min=0, help="How many levels of subgraphs to open.")
    ] = 0,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Write Mermaid text.")] = False,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Draw an assistant's graph."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.graph import show_graph

        show_graph(client, assistant or "", depth=depth, mermaid=mermaid, as_json=as_json)


def version(
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Show the versions of this client and of its server."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.versions import show_versions

        show_versions(client, connection, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Adds the commands to an app."""
    app.command(epilog=_GRAPH_EPILOG)(graph)
    app.command()(version)
