"""Kills a process just before or just after one of its commits.

The plan is a small file that the process and whoever drives it have both mapped into
memory: the process counts its commits there, and dies at the one that the plan names.
Nothing here knows of Graphwire: what is watched is the database driver. Another driver
needs another `watch_…`, which puts each commit into `Faults.commit()`.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from weakref import WeakSet

#: The environment variable that names the plan's file.
PLAN = "CRASH_PLAN"

# What the file holds: four numbers.
_NUMBER = struct.Struct("=q")
_SIZE = 4 * _NUMBER.size
_COMMITS, _TARGET, _SIDE, _FIRED = range(0, _SIZE, _NUMBER.size)

_COMMIT = re.compile(r"\s*(COMMIT|END)\b", re.IGNORECASE)
_SCRIPT_COMMIT = re.compile(r"^\s*COMMIT\b", re.IGNORECASE | re.MULTILINE)


class Side(IntEnum):
    """On which side of a commit the process dies."""

    BEFORE = 0
    AFTER = 1


class Plan:
    """The plan in its file: how many commits there were, and at which one to die."""

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it if it is not there."""
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
            if os.fstat(file.fileno()).st_size < _SIZE:
                file.truncate(_SIZE)
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    @property
    def commits(self) -> int:
        """How many commits there were so far, in all processes of this plan."""
        return self._get(_COMMITS)

    @property
    def fired(self) -> bool:
        """Whether the process has died, or is dying, since the plan was armed."""
        return bool(self._get(_FIRED))

    def arm(self, commits: int, side: Side) -> None:
        """Says to die at the n-th commit from now."""
        self._set(_FIRED, 0)
        self._set(_SIDE, side)
        self._set(_TARGET, self.commits + commits)

    def disarm(self) -> None:
        """Says to die at no commit."""
        self._set(_TARGET, 0)

    def count(self) -> Side | None:
        """Counts a commit; returns on which side of it to die, if at all."""
        commits = self.commits + 1
        self._set(_COMMITS, commits)
        if commits != self._get(_TARGET):
            return None
        return Side(self._get(_SIDE))

    def fire(self) -> None:
        """Notes that the process is about to die."""
        self._set(_FIRED, 1)

    def close(self) -> None:
        """Closes the file."""
        self._memory.close()

    def _get(self, offset: int) -> int:
        value: int = _NUMBER.unpack_from(self._memory, offset)[0]
        return value

    def _set(self, offset: int, value: int) -> None:
        _NUMBER.pack_into(self._memory, offset, value)


class Faults:
    """The watched process: it carries a plan out."""

    def __init__(self, plan: Plan) -> None:
        """Takes the plan."""
        self._plan = plan
        self._lock = threading.Lock()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Goes round a commit; if the plan says so, does not come back."""
        with self._lock:
            side = self._plan.count()
        if side is Side.BEFORE:
            self._die()
        yield
        if side is Side.AFTER:
            self._die()

    def _die(self) -> None:
        self._plan.fire()
        os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()  # this thread may get so far before the signal does


def watch_sqlite(faults: Faults) -> None:
    """Has every sqlite3 connection of this process count its commits.

    A commit counts if the transaction has changed rows: those of mere readers do not.
    """

    class Cursor(sqlite3.Cursor):
        connection: Connection

        def execute(self, sql: str, *args: Any) -> Self:
            if not _COMMIT.match(sql):
                return super().execute(sql, *args)
            with self.connection.committing():
                return super().execute(sql, *args)

    class Connection(sqlite3.Connection):
        _changes = 0

        @contextmanager
        def committing(self) -> Iterator[None]:
            if not self.in_transaction or self.total_changes == self._changes:
                yield
                return
            self._changes = self.total_changes
            with faults.commit():
                yield

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if not _COMMIT.match(sql):
                return super().execute(sql, *args)
            with self.committing():
                return super().execute(sql, *args)

        def commit(self) -> None:
            with self.committing():
                super().commit()

        def executescript(self, script: str) -> sqlite3.Cursor:
            if not _SCRIPT_COMMIT.search(script):
                return super().executescript(script)
            with faults.commit():
                cursor = super().executescript(script)
            self._changes = self.total_changes
            return cursor

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> Literal[False]:
            if kind is not None:
                return super().__exit__(kind, error, trace)
            with self.committing():
                return super().__exit__(kind, error, trace)

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connecting(*args: Any, **options: Any) -> sqlite3.Connection:
        return connect(*args, **{"factory": Connection, **options})

    sqlite3.connect = connecting  # type: ignore[assignment]


_BEGIN = re.compile(r"\s*BEGIN\b", re.IGNORECASE)
# The server's own comes with the note of it before.
_LAST_IS_COMMIT = re.compile(r"(^|;)\s*(COMMIT|END)\s*$", re.IGNORECASE)
_CHANGES = ("INSERT", "UPDATE", "DELETE")


def watch_psycopg(faults: Faults) -> None:
    """Has every connection of psycopg count its commits, but for those that are asynchronous.

    As with SQLite, a commit counts if the transaction has changed rows. Those that psycopg
    makes by itself, at the end of `Connection.transaction()`, do not: they change schemas.
    """
    import psycopg

    plain: Any = psycopg.Connection
    begin, commit = plain.__init__, plain.commit

    class Cursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, *args: Any, **options: Any) -> Self:
            text = query if isinstance(query, str) else ""
            if _LAST_IS_COMMIT.search(text):
                with committing(self.connection):
                    return super().execute(query, *args, **options)
            if _BEGIN.match(text):
                changed.discard(self.connection)
            super().execute(query, *args, **options)
            self._note_changes()
            return self

        def executemany(self, *args: Any, **options: Any) -> None:
            super().executemany(*args, **options)
            self._note_changes()

        def _note_changes(self) -> None:
            if (self.statusmessage or "").startswith(_CHANGES) and self.rowcount > 0:
                changed.add(self.connection)

    # Those in whose transactions rows have changed.
    changed: WeakSet[Any] = WeakSet()

    @contextmanager
    def committing(connection: Any) -> Iterator[None]:
        if connection not in changed:
            yield
            return
        changed.discard(connection)
        with faults.commit():
            yield

    def watched_init(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        self.cursor_factory = Cursor

    def watched_commit(self: Any) -> None:
        with committing(self):
            commit(self)

    # In the class itself: the server has a class of its own below it.
    plain.__init__, plain.commit = watched_init, watched_commit
