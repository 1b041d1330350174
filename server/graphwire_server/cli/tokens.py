"""`graphwire new-token`: a service token, and what a token file has of it."""

from __future__ import annotations

import sys
from pathlib import Path

from graphwire_server.auth import fresh_tokens
from graphwire_server.auth.names import wrong_name
from graphwire_server.auth.service_tokens import read_tokens
from graphwire_server.auth.setup_errors import UnusableFileError
from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode


def make_token(name: str, into: Path | None) -> None:
    """Writes a fresh token to stdout, and its table into the token file, or else to stderr.

    Without a file nothing but that table goes to stderr. A file that already names the caller,
    or that a server could not read, is left as it is, and no token is made.
    """
    if reason := wrong_name(name):
        fail(f"NAME: the name of a caller {reason}", ExitCode.USAGE)
    token = fresh_tokens.new_token()
    table = fresh_tokens.table_of(name, token)
    if into is None:
        sys.stderr.write(f"# For the file of --auth-tokens (GRAPHWIRE_AUTH_TOKENS):\n{table}")
        sys.stderr.flush()
    else:
        try:
            _append(into, name, table)
        except UnusableFileError as error:
            fail(f"{into}: {error}", ExitCode.USAGE)
        except OSError as error:
            fail(f"{into}: {error.strerror}", ExitCode.USAGE)
    sys.stdout.write(f"{token}\n")


def _append(path: Path, name: str, table: str) -> None:
    before = path.read_text("utf-8") if path.exists() else ""
    if before.strip() and name in read_tokens(before.encode()).by_name:
        raise UnusableFileError(
            f"has a table [{name}] already; make the token without --into, and add its SHA-256 "
            "to the token_sha256 there, a list of both while both hold"
        )
    # Whoever may read it learns who calls, and nothing that lets him in.
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if before and not before.endswith("\n\n") else "")
        file.write(table)
