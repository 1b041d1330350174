"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

_SERVER = "Server"


def paragraphs(*texts: str) -> str:
    """Returns texts as paragraphs of a command's help."""
    return "\n\n".join(texts)


Target = Annotated[
    str,
    typer.Option(
        "--server",
        "-s",
        metavar="HOST:PORT",
        envvar="GRAPHWIRE_TARGET",
        help="The server.",
        rich_help_panel=_SERVER,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="GRAPHWIRE_TOKEN",
        help="Sent as a bearer token; to another machine only with --tls.",
        rich_help_panel=_SERVER,
    ),
]
Tls = Annotated[
    bool,
    typer.Option(
        "--tls",
        envvar="GRAPHWIRE_TLS",
        help="Use TLS; the environment says whom to trust, and with which certificate.",
        rich_help_panel=_SERVER,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, one object a line.")]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many.")]
