"""The command as a whole."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Annotated, Any

import typer

from graphwire_server.cli.commands import (
    attach,
    db,
    inbox,
    look,
    run,
    runs,
    serve,
    threads,
    tokens,
)
from graphwire_server.cli.commands.options import paragraphs

_EPILOG = paragraphs(
    'In a LangGraph project: `graphwire serve`, then `graphwire run agent "Hello!"` in '
    "another terminal.",
    "`graphwire COMMAND --help` says more about each command.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"graphwire {version('graphwire')}")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Serve LangGraph projects over gRPC, and run, pause and resume their graphs."""
    del show_version


def _app() -> typer.Typer:
    app = typer.Typer(
        name="graphwire",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(epilog=_EPILOG)(_root)
    serve.add_to(app)
    run.add_to(app)
    attach.add_to(app)
    app.add_typer(threads.app, name="threads", help="List, show and delete threads.")
    app.add_typer(runs.app, name="runs", help="List, show, watch and cancel runs.")
    app.add_typer(inbox.app, name="inbox")
    look.add_to(app)
    app.add_typer(db.app, name="db", help="Look after the database of a server.")
    tokens.add_to(app)
    return app


@cache
def command() -> Any:
    """Returns the command, with all that are below it; it is made at the first call."""
    return typer.main.get_command(_app())


def main() -> None:
    """Runs the command, and exits with one of `ExitCode`."""
    command()(prog_name="graphwire")
