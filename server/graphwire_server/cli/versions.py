"""`graphwire version`."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version

from graphwire import Client
from graphwire.errors import GraphwireError
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import out
from graphwire_server.cli.tables import show_fields

#: A server that takes longer counts as not there, in seconds.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions at both ends; those of the server are empty if it can't be reached."""

    client: str
    python: str
    target: str
    server: str
    server_langgraph: str
    server_python: str


def show_versions(client: Client, connection: Connection, *, as_json: bool) -> None:
    """Shows the versions of this client and of its server, if there is one."""
    try:
        info = client.server.info(timeout=_PATIENCE)
    except GraphwireError:
        info = None
    versions = Versions(
        client=version("graphwire"),
        python=platform.python_version(),
        target=connection.target,
        server=info.version if info else "",
        server_langgraph=info.langgraph_version if info else "",
        server_python=info.python_version if info else "",
    )
    if as_json:
        jsonlines.write(versions)
        return
    theirs = (
        f"{versions.server} at {versions.target}, langgraph {versions.server_langgraph}, "
        f"Python {versions.server_python}"
        if versions.server
        else f"none at {versions.target}"
    )
    show_fields(
        out(),
        [
            ("client", Text(f"{versions.client}, Python {versions.python}")),
            ("server", Text(theirs)),
        ],
    )
