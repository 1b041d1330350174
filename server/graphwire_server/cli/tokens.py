"""`graphwire new-token`: a service token, and what a token file has of it."""

from __future__ import annotations

import sys

from graphwire_server.auth import fresh_tokens
from graphwire_server.auth.names import wrong_name
from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode


def make_token(name: str) -> None:
    """Writes a fresh token to stdout, and the lines for the token file to stderr.

    What goes to stderr is TOML as a whole, so that it can be appended to the file.
    """
    if reason := wrong_name(name):
        fail(f"NAME: the name of a caller {reason}", ExitCode.USAGE)
    token = fresh_tokens.new_token()
    sys.stderr.write("# For the file of --auth-tokens (GRAPHWIRE_AUTH_TOKENS):\n")
    sys.stderr.write(fresh_tokens.table_of(name, token))
    sys.stderr.flush()
    sys.stdout.write(f"{token}\n")
