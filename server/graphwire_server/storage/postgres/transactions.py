"""Works in transactions of Postgres: tried again where that is safe, and only there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
import structlog

from graphwire_server.storage.interface import (
    LONGEST_READ,
    Reader,
    StorageError,
    StorageSlow,
    StorageTimeout,
)
from graphwire_server.storage.postgres.connection import PATIENCE, Connection
from graphwire_server.storage.postgres.errors import (
    ConnectionLost,
    NotPrepared,
    TransactionConflict,
)
from graphwire_server.storage.postgres.session import PostgresSession
from graphwire_server.storage.sql.errors import unreachable, unusable
from graphwire_server.storage.sql.group_commit import Work
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.storage.sql.reader import SqlReader
from graphwire_server.storage.sql.transaction import SqlTransaction

T = TypeVar("T")

_log = structlog.get_logger("graphwire.storage")

# Without parameters, so that it can be sent together with COMMIT.
_NOTE_COMMIT = """
    INSERT INTO gw_commits (writer, number, noted)
    VALUES ('{writer}', {number}, graphwire_now())
    ON CONFLICT (writer) DO UPDATE SET number = excluded.number, noted = excluded.noted
"""

#: How often a work is tried again because of other transactions, and for how long, in seconds.
_MAX_CONFLICTS, _LONGEST_CONFLICT = 10, 10.0

#: How long it is kept what a connection has noted, in microseconds; it is asked within seconds.
_NOTES_KEPT = 24 * 60 * 60 * 1_000_000

#: How often works are tried again because the connection was lost under them.
_MAX_LOSSES = 3

# A server that stands still in the middle of a transaction must not keep its locks, and
# one that waits for such a lock must not wait for ever.
_LIMITS = """
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SET LOCAL lock_timeout = '10s';
"""

# Few connections read. Whoever asks for something that takes long may have no deadline.
_BEGIN_READING = f"""
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_LIMITS}
    SET LOCAL statement_timeout = '{LONGEST_READ}s'
"""

# The id tells afterwards whether the transaction was committed.
_BEGIN_WRITING = f"""
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {_LIMITS}
    SELECT pg_current_xact_id()::text
"""


@dataclass(slots=True)
class Told:
    """What there is to tell of a transaction that was committed.

    Attributes:
        topics: What is to be announced.
        events: How many events were added.
    """

    topics: set[str] = field(default_factory=set)
    events: int = 0


def read(connection: Connection, work: Callable[[Reader], T]) -> T:
    """Runs a work on one state of the database; again, if the connection is lost under it.

    Raises:
        StorageError: The database can't be used.
        StorageSlow: One statement took longer than `LONGEST_READ`.
        Exception: Whatever the work raises.
    """
    losses = 0
    while True:
        began = time.monotonic()
        try:
            return _read_once(connection, work).get()
        except ConnectionLost:
            losses += 1
            if losses > _MAX_LOSSES:
                raise
        except StorageTimeout as error:
            if time.monotonic() - began < LONGEST_READ:
                raise  # somebody else has ended it
            raise StorageSlow(str(error)) from error


def write(
    connection: Connection, works: Sequence[Work[Any]], told: Told | None = None
) -> list[Outcome[Any]]:
    """Runs works in one transaction, each of which can fail alone, and commits it.

    Adds what there is to tell of that to `told`.

    A transaction that was certainly not committed is tried again. One that Postgres gave up
    because of another server's is tried again work by work, so that as few as possible
    wait for each other.

    Raises:
        StorageError: The database can't be used and nothing of any work is kept; or the
            connection was lost during the commit, and its text says that it is not known
            whether anything is.
    """
    conflicts = losses = 0
    began = time.monotonic()
    while True:
        try:
            return _write_once(connection, works, told)
        except TransactionConflict:
            if len(works) > 1:
                return [_write_alone(connection, work, told) for work in works]
            conflicts += 1
            # Each may have waited for a lock, as long as one may.
            if conflicts > _MAX_CONFLICTS or time.monotonic() - began >= _LONGEST_CONFLICT:
                raise
            time.sleep(random.uniform(0, 0.01 * 2 ** min(conflicts, 5)))
        except ConnectionLost as lost:
            losses += 1
            if losses > _MAX_LOSSES:
                raise
            _log.warning("database_connection_lost", reason=str(lost))


def _write_alone(connection: Connection, work: Work[T], told: Told | None) -> Outcome[T]:
    try:
        (outcome,) = write(connection, [work], told)
    except StorageError as error:
        return Outcome(error=error)
    return outcome


def _read_once(connection: Connection, work: Callable[[Reader], T]) -> Outcome[T]:
    with _session(connection) as session:
        session.control(_BEGIN_READING)
        outcome = Outcome.of(work, SqlReader(session))
        session.check()
    return outcome


def _write_once(
    connection: Connection, works: Sequence[Work[Any]], told: Told | None
) -> list[Outcome[Any]]:
    with _session(connection) as session:
        row = session.control(_BEGIN_WRITING).fetchone()
        assert row is not None
        transaction = SqlTransaction(session)
        outcomes = _run(session, transaction, works)
        if any(outcome.error is None for outcome in outcomes):
            announced = transaction.write_changes()
            session.check()
            _commit(connection, session, transaction_id=row[0])
            if told is not None:
                told.topics.update(announced)
                told.events += transaction.events_added
    return outcomes


@contextmanager
def _session(connection: Connection) -> Iterator[PostgresSession]:
    """Gives a session on the connection, and rolls back what is not committed by its end."""
    session = PostgresSession(connection.get(), connection.address)
    try:
        yield session
    except ConnectionLost as lost:
        if isinstance(lost, NotPrepared):
            connection.stop_preparing()
        connection.drop()
        raise
    finally:
        session.end()
        if session.in_transaction:
            try:
                session.control("ROLLBACK")
            except StorageError:
                connection.drop()


def _run(
    session: PostgresSession, transaction: SqlTransaction, works: Sequence[Work[Any]]
) -> list[Outcome[Any]]:
    """Runs works one after another; what one of them did is taken back if it raises."""
    if len(works) == 1:
        # If it raises, the transaction is rolled back as a whole.
        return [_run_alone(session, transaction, works[0])]
    outcomes: list[Outcome[Any]] = []
    for work in works:
        if not outcomes or outcomes[-1].error is not None:
            # After ROLLBACK TO the savepoint is still there, and empty.
            session.control("ROLLBACK TO work" if outcomes else "SAVEPOINT work")
        else:
            session.control("RELEASE work; SAVEPOINT work")
        outcomes.append(_run_alone(session, transaction, work))
    if outcomes[-1].error is not None:
        session.control("ROLLBACK TO work")
    return outcomes


def _run_alone(session: PostgresSession, transaction: SqlTransaction, work: Work[T]) -> Outcome[T]:
    outcome = Outcome.of(work, transaction)
    session.check()
    if outcome.error is None and session.failed:
        outcome = Outcome(error=unusable(session.database, "a work went on after an error"))
    transaction.settle(kept=outcome.error is None)
    return outcome


def _commit(connection: Connection, session: PostgresSession, *, transaction_id: str) -> None:
    """Commits, and notes in the same transaction that this was the last one of the connection.

    Raises:
        ConnectionLost: The connection was lost, and nothing was committed.
        StorageError: Nothing was committed, or it is not known.
    """
    number = next(connection.commits)
    note = _NOTE_COMMIT.format(writer=connection.writer, number=number)
    try:
        status = session.control(f"{note}; COMMIT").statusmessage
    except ConnectionLost:
        connection.drop()
        if not _was_committed(connection, transaction_id, number):
            raise
    else:
        if status != "COMMIT":
            raise unusable(session.database, "the transaction was rolled back")


def _was_committed(connection: Connection, transaction_id: str, number: int) -> bool:
    """Asks what became of a transaction whose connection was lost while it was committed.

    Args:
        connection: Where it was, and is made again.
        transaction_id: Postgres' number of it. After a crash it may be another one's.
        number: What it has noted in `gw_commits`, if it was committed.

    Raises:
        StorageError: It can't be known.
    """
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            row = (
                connection.get()
                .execute("SELECT pg_xact_status(%s::xid8)", (transaction_id,))
                .fetchone()
            )
        except psycopg.OperationalError:
            connection.drop()
            continue
        except (StorageError, psycopg.Error):
            # There is no server, or another one that knows nothing of the transaction.
            break
        match row:
            case ("committed",) if (noted := _noted(connection)) is not None:
                return noted == number
            case ("committed",):
                connection.drop()
            case ("aborted",):
                return False
            case ("in progress",):
                time.sleep(0.05)
            case _:
                break
    raise unreachable(
        connection.address,
        "the connection was lost during a commit, and it is not known whether anything of it "
        "was kept",
    )


def _noted(connection: Connection) -> int | None:
    """Returns the number of the last commit of a connection; 0: none. None: the way is lost."""
    try:
        row = (
            connection.get()
            .execute("SELECT number FROM gw_commits WHERE writer = %s", (connection.writer,))
            .fetchone()
        )
    except (StorageError, psycopg.Error):
        return None
    return 0 if row is None else int(row[0])


def forget_writers(connection: Connection) -> None:
    """Forgets what connections have noted that are long gone. Raises psycopg.Error."""
    connection.get().execute(
        "DELETE FROM gw_commits WHERE noted < graphwire_now() - %s", (_NOTES_KEPT,)
    )
