"""Imports all that a server imports in the course of its start; see `faulty_server`."""

from __future__ import annotations

import importlib
import sqlite3
import sys

import psycopg

for _name in (
    "graphwire_server.app",
    "graphwire_server.cli.banner",
    "graphwire_server.cli.serve",
    "graphwire_server.storage.postgres.store",
    "graphwire_server.storage.sqlite",
    "langchain_core.language_models",
    "uvloop",
):
    importlib.import_module(_name)

# Whoever has bound a driver's `connect` to a name of its own escapes `watch_sqlite` or
# `watch_psycopg`.
_unwatched = [
    name
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] in ("graphwire_server", "aiosqlite")
    and any(connect in vars(module).values() for connect in (sqlite3.connect, psycopg.connect))
]
assert not _unwatched, f"these commit unseen: {_unwatched}"
