"""The connection of a command to its server, and how its errors are shown."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from graphwire import Client
    from graphwire.errors import GraphwireError

#: Where a client looks for its server unless it is told.
DEFAULT_TARGET = "127.0.0.1:50051"


#: How gRPC tells of TLS that failed.
_TLS_FAILED = ("handshake", "verification", "peer name")

#: How it tells of a server that talks no TLS to a client that does.
_SERVER_IS_PLAIN = "wrong_version_number"

#: How it tells of one that hangs up: it wants TLS, or a certificate of the client's.
_HUNG_UP = "socket closed"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is and how to reach it.

    Attributes:
        target: `host:port`, or any other target that gRPC knows.
        token: Sent as a bearer token; None: none.
        tls: Whether to use TLS, with what the environment says of it; if not, the environment
            may still say so.
    """

    target: str = DEFAULT_TARGET
    token: str | None = None
    tls: bool = False

    def command(self, *words: str) -> str:
        """Returns a graphwire command for this server, to be shown and copied."""
        known = self.target in (DEFAULT_TARGET, os.environ.get("GRAPHWIRE_TARGET"))
        server = () if known else ("--server", self.target)
        tls = ("--tls",) if self.tls else ()
        return shlex.join(["graphwire", *words, *server, *tls])


@contextmanager
def connected(connection: Connection) -> Iterator[Client]:
    """Gives a client; what goes wrong in the block ends the command with one line."""
    from graphwire import Client
    from graphwire._settings import PlainTokenError
    from graphwire.errors import GraphwireError

    try:
        client = Client(connection.target, tls=connection.tls or None, token=connection.token)
    except PlainTokenError:
        fail(
            f"the token would go to {connection.target} in plain text: use --tls",
            ExitCode.USAGE,
        )
    except ValueError as error:  # what the environment says of TLS
        fail(str(error), ExitCode.USAGE)
    try:
        with client:
            yield client
    except GraphwireError as error:
        show_error(error, connection)
    except KeyboardInterrupt:
        fail("interrupted", ExitCode.INTERRUPTED)


def show_error(error: GraphwireError, connection: Connection) -> NoReturn:
    """Writes an error of the client or the server as one line, and exits.

    With a `thread_id` in its metadata, somebody was at the prompt of that thread.
    """
    from graphwire.errors import ConnectionLostError, ShuttingDownError

    label = error.reason or error.code
    if run_id := error.metadata.get("run_id", ""):
        # The stream was lost and not the run: it belongs to the server.
        if isinstance(error, ConnectionLostError | ShuttingDownError):
            fail(
                f"lost the server at {connection.target}; to watch the run again:",
                ExitCode.UNAVAILABLE,
                detail=connection.command(*_back(error.metadata.get("thread_id", ""), run_id)),
            )
    elif isinstance(error, ConnectionLostError):
        said = error.message.lower()
        if _SERVER_IS_PLAIN in said:
            fail(
                f"no TLS with {connection.target}: what answers there talks plain text",
                ExitCode.UNAVAILABLE,
                detail="to it without TLS: leave out --tls, GRAPHWIRE_TLS and the GRAPHWIRE_ "
                "variables with certificates",
            )
        if _HUNG_UP in said:
            fail(
                f"{connection.target} closes the connection before it answers",
                ExitCode.UNAVAILABLE,
                detail="it may want TLS: --tls, and whom to trust in GRAPHWIRE_CA_FILE; or a "
                "certificate of yours: GRAPHWIRE_CLIENT_CERTIFICATE_FILE, "
                "GRAPHWIRE_CLIENT_KEY_FILE",
            )
        if any(words in said for words in _TLS_FAILED):
            fail(
                f"no TLS with {connection.target}: {error.message}",
                ExitCode.UNAVAILABLE,
                detail="whom to trust: GRAPHWIRE_CA_FILE; a name in the certificate that is not "
                "the target's: GRAPHWIRE_SERVER_NAME; a certificate of your own: "
                "GRAPHWIRE_CLIENT_CERTIFICATE_FILE, GRAPHWIRE_CLIENT_KEY_FILE",
            )
        fail(
            f"no server at {connection.target}: start one with `graphwire serve`, "
            "or name another with --server",
            ExitCode.UNAVAILABLE,
        )
    elif label == "UNIMPLEMENTED":
        fail(
            f"the server at {connection.target} does not offer this: it is an older "
            "Graphwire, or another service",
            ExitCode.FAILED,
        )
    code = ExitCode.UNAVAILABLE if isinstance(error, ShuttingDownError) else ExitCode.FAILED
    no_token = label == "UNAUTHENTICATED" and connection.token is None
    detail = "a token: GRAPHWIRE_TOKEN, or --token" if no_token else ""
    fail(f"{error} [{label}]", code, detail=detail)


def _back(thread_id: str, run_id: str) -> tuple[str, ...]:
    return ("attach", thread_id) if thread_id else ("runs", "join", run_id)
