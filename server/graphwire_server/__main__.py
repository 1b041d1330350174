"""The `graphwire` command.

The command itself is `graphwire_server.cli`, which needs more than a client does.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs the command, or says what to install for it."""
    # Read when grpc is imported: by default it writes a line of its own to stderr for each
    # connection that does not come about, be it of whoever looks for open ports.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        from graphwire_server.cli import main as command
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in {"graphwire", "graphwire_server"}:
            raise
        sys.exit(
            f"graphwire: the command needs {missing.name}, which is not installed. "
            "Install graphwire[cli] to talk to a server, graphwire[server] to run one."
        )
    command()


if __name__ == "__main__":
    main()
