"""`graphwire serve`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphwire_server.cli.commands.options import paragraphs

_EPILOG = paragraphs(
    "Examples:",
    "    graphwire serve",
    "    graphwire serve examples/weather_agent --reload",
    "    graphwire serve --listen 0.0.0.0:50051 --database data.db --log-format json",
    "Every setting can also be given in the environment, as GRAPHWIRE_LISTEN and so on; "
    "--settings lists them all.",
)


def serve(
    project: Annotated[
        Path | None,
        typer.Argument(
            metavar="PROJECT",
            help="The project: a folder or its langgraph.json. Default: this folder.",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where to listen: host:port; port 0: any. Default: 127.0.0.1:50051.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to keep data: a file, or sqlite:///path. "
            "Default: .graphwire/graphwire.db in the project.",
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again when a file of the project changes.")
    ] = False,
    max_concurrent_runs: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many runs execute at once; further ones wait. Default: 64.",
        ),
    ] = None,
    max_run_seconds: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="How long a run may execute before it is timed out. Default: no limit.",
        ),
    ] = None,
    shutdown_grace_seconds: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="How long running runs may go on after SIGTERM. Default: 10.",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="debug, info, warning or error. Default: info."),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="human or json. Default: human.")
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Show every setting and its value, and exit.")
    ] = False,
) -> None:
    """Serve a LangGraph project over gRPC."""
    options = {
        "project": project,
        "listen": listen,
        "database": database,
        "max_concurrent_runs": max_concurrent_runs,
        "max_run_seconds": max_run_seconds,
        "shutdown_grace_seconds": shutdown_grace_seconds,
        "log_level": log_level,
        "log_format": log_format,
    }
    given = {name: value for name, value in options.items() if value is not None}
    from graphwire_server.cli import serve as command

    if settings:
        command.show_settings(given)
    else:
        command.serve(given, reload=reload)


def add_to(app: typer.Typer) -> None:
    """Adds the command to an app."""
    app.command(epilog=_EPILOG)(serve)
