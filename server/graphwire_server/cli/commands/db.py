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


@app.command(
    epilog=paragraphs(
        "Examples:",
        "    graphwire db prune --events-older-than 7d --dry-run",
        "    graphwire db prune --threads-older-than 30d --keep-latest",
        "Servers may be at work meanwhile, on Postgres and on a SQLite file. What is busy or "
        "paused stays, and so does what it needs to go on.",
    )
)
def prune(
    project: Project = None,
    database: Database = None,
    threads_older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Delete threads that were last changed longer ago, such as 30d, 12h or 90m: not "
            "those that are busy or paused, or have a ttl of their own.",
            show_default=False,
        ),
    ] = None,
    events_older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Remove the events of runs that ended longer ago, all but the last two of each.",
            show_default=False,
        ),
    ] = None,
    keep_latest: Annotated[
        bool,
        typer.Option(
            "--keep-latest",
            help="Delete the checkpoints of threads that no run is at, all but those from which "
            "they can go on.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how much would be removed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove old threads, events and checkpoints."""
    from graphwire_server.cli.prune import prune as command

    command(
        project,
        database,
        threads_older_than=threads_older_than,
        events_older_than=events_older_than,
        keep_latest=keep_latest,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(epilog=_EPILOG.format(name="upgrade"))
def upgrade(project: Project = None, database: Database = None) -> None:
    """Bring a database's schema to this program's version."""
    from graphwire_server.cli.db import upgrade as command

    command(project, database)
