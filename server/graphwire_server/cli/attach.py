"""`graphwire attach`."""

from __future__ import annotations

from graphwire import Client

from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import at_terminal, fail, out
from graphwire_server.cli.debugger.session import Debugger
from graphwire_server.cli.exit_codes import ExitCode


def attach(client: Client, connection: Connection, thread_id: str) -> ExitCode:
    """Joins a thread at a terminal."""
    if not at_terminal():
        fail(
            "attach needs a terminal: `graphwire threads show` and `graphwire runs join` do not",
            ExitCode.USAGE,
        )
    return Debugger(client, connection, out()).attach(thread_id)
