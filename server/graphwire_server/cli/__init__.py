"""The `graphwire` command."""

from graphwire_server.cli.app import main

__all__ = ["main"]
