"""`graphwire db`: its commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import Json, paragraphs

app = typer.Typer(no_args_is_help=True)

_EPILOG = paragraphs(
    "Examples:",
    "    graphwire db {name}",
    "    GRAPHWIRE_DATABASE=postgresql://graphwire@db/graphwire graphwire db {name}",
    "A server brings its database to its own version when it starts. "
    "By hand it is done before a roll-out, or by somebody who may change tables where servers "
    "may not.",
)

Project = Annotated[
    str | None,
    typer.Argument(
        metavar="PROJECT",
        help="The project: a folder or its langgraph.json.",
        show_default=".",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL",
        help="The database, as `graphwire serve` has it. Default: GRAPHWIRE_DATABASE, or else "
        "the project's own.",
        show_default=False,
    ),
]


@app.command(epilog=_EPILOG.format(name="status"))
def status(project: Project = None, database: Database = None, as_json: Json = False) -> None:
    """Show which version a database's schema has. Exit code 1: not this program's."""
    from graphwire_server.cli.db import show_status

    show_status(project, database, as_json=as_json)


@app.command(epilog=_EPILOG.format(name="upgrade"))
def upgrade(project: Project = None, database: Database = None) -> None:
    """Bring a database's schema to this program's version."""
    from graphwire_server.cli.db import upgrade as command

    command(project, database)
