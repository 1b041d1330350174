"""The composition root: builds the server from its parts, starts it, and stops it.

The same root builds the server that the tests use.
"""

from graphwire_server.app.process import serve
from graphwire_server.app.server import App

__all__ = ["App", "serve"]
