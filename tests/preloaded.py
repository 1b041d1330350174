"""Imports all that the command `graphwire` imports in the course of its work; see `command`.

A server switches LangGraph to strict msgpack before it imports it, so that is done here too.
"""

from __future__ import annotations

import gc
import importlib
import os
import sqlite3
import sys

os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
# The command does so too, before it imports gRPC.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

for _name in (
    "graphwire_server.app",
    "graphwire_server.cli",
    "graphwire_server.cli.banner",
    "graphwire_server.cli.serve",
    "graphwire_server.storage.postgres.store",
    "graphwire_server.storage.sqlite",
    "langchain.agents",
    "langchain_core.language_models",
    "langgraph.func",
    "langgraph.prebuilt",
    "uvloop",
):
    importlib.import_module(_name)

# Typer reads the signatures of all commands, and makes ready what their options are checked with,
# when a command line is parsed for the first time. That is half of a command's start.
_commands = [sys.modules["graphwire_server.cli.app"].command()]
while _commands:
    _command = _commands.pop()
    _commands += getattr(_command, "commands", {}).values()
    _command.make_context(_command.name, [], resilient_parsing=True).close()

# A server has Python look at all of its objects once, when it has started: not at these, each time.
gc.collect()
gc.freeze()

# Whoever has bound the driver's `connect` to a name of its own escapes the crash tests, which put
# theirs in its place.
_unwatched = [
    name
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] in ("graphwire_server", "aiosqlite")
    and sqlite3.connect in vars(module).values()
]
assert not _unwatched, f"these commit unseen: {_unwatched}"
