"""The SQL statements by subject, in SQL that Postgres reads as well.

Parameters are `?`. Rows come in the order that rows.py reads and writes them in.
"""

from graphwire_server.storage.sql.statements import (
    changes,
    copies,
    events,
    leases,
    pauses,
    requests,
    runs,
    threads,
    waiting,
)
from graphwire_server.storage.sql.statements.leases import IS_DUE
from graphwire_server.storage.sql.statements.parts import access_conditions, insert, locked

__all__ = [
    "IS_DUE",
    "access_conditions",
    "changes",
    "copies",
    "events",
    "insert",
    "leases",
    "locked",
    "pauses",
    "requests",
    "runs",
    "threads",
    "waiting",
]
