"""`graphwire new-token`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphwire_server.cli.commands.options import paragraphs

_EPILOG = paragraphs(
    "Examples:",
    "    graphwire new-token billing",
    "    graphwire new-token billing --into tokens.toml > billing.token",
    "The token goes to stdout, once and for all; the lines for the file of --auth-tokens, which "
    "have only its SHA-256, into that file, or to stderr.",
)


def new_token(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The caller whose token it is.", show_default=False),
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The token file to add the caller to; it is made if it is not there.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Make a service token for a caller."""
    from graphwire_server.cli.tokens import make_token

    make_token(name, into)


def add_to(app: typer.Typer) -> None:
    """Adds the command to an app."""
    app.command("new-token", epilog=_EPILOG)(new_token)
