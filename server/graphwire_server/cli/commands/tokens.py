"""`graphwire new-token`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import paragraphs

_EPILOG = paragraphs(
    "Examples:",
    "    graphwire new-token billing",
    "    graphwire new-token billing 2>> tokens.toml > billing.token",
    "The token goes to stdout, once and for all; the lines for the file of --auth-tokens, which "
    "have only its SHA-256, to stderr.",
)


def new_token(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The caller whose token it is.", show_default=False),
    ],
) -> None:
    """Make a service token for a caller."""
    from graphwire_server.cli.tokens import make_token

    make_token(name)


def add_to(app: typer.Typer) -> None:
    """Adds the command to an app."""
    app.command("new-token", epilog=_EPILOG)(new_token)
