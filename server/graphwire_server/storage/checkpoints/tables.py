"""The statements on checkpoints, as parts of the storage's `Reader` and `Transaction`.

They are in SQL that SQLite and Postgres both read, with `?` for parameters. What the methods
promise is said in `storage.interface`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointFilter,
    CheckpointRecord,
    WriteRecord,
)
from graphwire_server.storage.interface import IntegrityError
from graphwire_server.storage.sql.session import Cursor, Parameters
from graphwire_server.storage.sql.statements.parts import marks

T = TypeVar("T")

#: The most ids, or (channel, version) pairs, in one statement.
_AT_ONCE = 400

_NEW_CHECKPOINT = (
    "thread_id, namespace, checkpoint_id, parent_checkpoint_id, run_id, metadata, body"
)
_CHECKPOINT = f"{_NEW_CHECKPOINT}, number, history"
_VALUE = "thread_id, namespace, channel, version, base_version, body"
_WRITE = "thread_id, namespace, checkpoint_id, task_id, task_path, body"

_HEAD = f"""
    SELECT {_CHECKPOINT} FROM gw_checkpoints
    WHERE thread_id = ? AND namespace = ? AND NOT history ORDER BY number DESC LIMIT 1
"""
_BY_ID = f"""
    SELECT {_CHECKPOINT} FROM gw_checkpoints
    WHERE thread_id = ? AND namespace = ? AND checkpoint_id = ? AND NOT history
"""
_ALL = f"SELECT {_CHECKPOINT} FROM gw_checkpoints WHERE thread_id = ? AND namespace = ?"
_ANCESTORS = f"""
    WITH RECURSIVE line (id, depth) AS (
        SELECT parent_checkpoint_id, 1 FROM gw_checkpoints
        WHERE thread_id = ? AND namespace = ? AND checkpoint_id = ?
        UNION ALL
        SELECT c.parent_checkpoint_id, line.depth + 1 FROM line JOIN gw_checkpoints c
            ON c.thread_id = ? AND c.namespace = ? AND c.checkpoint_id = line.id
        WHERE line.depth < ?
    )
    SELECT {_CHECKPOINT} FROM line JOIN gw_checkpoints
        ON thread_id = ? AND namespace = ? AND checkpoint_id = line.id
    ORDER BY line.depth
"""
_NAMESPACES = "SELECT DISTINCT namespace FROM gw_checkpoints WHERE thread_id = ?"
_OF_RUN = """
    SELECT DISTINCT thread_id, namespace FROM gw_checkpoints WHERE run_id = ? AND run_id <> ''
"""
_VERSIONS = """
    SELECT channel, version, base_version FROM gw_channel_values
    WHERE thread_id = ? AND namespace = ?
"""

_PUT_CHECKPOINT = f"""
    INSERT INTO gw_checkpoints ({_NEW_CHECKPOINT}, history) VALUES (?, ?, ?, ?, ?, ?, ?, FALSE)
    ON CONFLICT (thread_id, checkpoint_id, namespace) DO UPDATE SET
        parent_checkpoint_id = excluded.parent_checkpoint_id,
        metadata = excluded.metadata, body = excluded.body, history = FALSE
"""
_PUT_VALUE = f"""
    INSERT INTO gw_channel_values ({_VALUE}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
# Nothing is added if what it is a delta against has gone.
_PUT_DELTA = f"""
    INSERT INTO gw_channel_values ({_VALUE})
    SELECT base.thread_id, base.namespace, base.channel, CAST(? AS TEXT), base.version, ?
    FROM gw_channel_values base
    WHERE base.thread_id = ? AND base.namespace = ? AND base.channel = ? AND base.version = ?
    ON CONFLICT DO NOTHING
"""
_HAS_VALUE = """
    SELECT 1 FROM gw_channel_values
    WHERE thread_id = ? AND namespace = ? AND channel = ? AND version = ?
"""
_PUT_WRITE = f"INSERT INTO gw_checkpoint_writes ({_WRITE}, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)"
_MADE_BY = f"SELECT {_CHECKPOINT} FROM gw_checkpoints WHERE run_id = ? AND run_id <> ''"
_DROP_WRITES_OF_RUN = "DELETE FROM gw_checkpoint_writes WHERE thread_id = ? AND run_id = ?"

_TO_HISTORY = """
    UPDATE gw_checkpoints SET history = TRUE
    WHERE thread_id = ? AND namespace = ? AND checkpoint_id = ?
"""
_DROP_CHECKPOINT = """
    DELETE FROM gw_checkpoints WHERE thread_id = ? AND namespace = ? AND checkpoint_id = ?
"""
_DROP_WRITES = """
    DELETE FROM gw_checkpoint_writes WHERE thread_id = ? AND namespace = ? AND checkpoint_id = ?
"""
_DROP_VALUE = """
    DELETE FROM gw_channel_values
    WHERE thread_id = ? AND namespace = ? AND channel = ? AND version = ?
"""

_TABLES = {
    "gw_checkpoints": f"{_NEW_CHECKPOINT}, history",
    "gw_channel_values": _VALUE,
    "gw_checkpoint_writes": f"{_WRITE}, run_id",
}


class CheckpointReads:
    """The part of `Reader` that is about checkpoints."""

    def _execute(self, statement: str, parameters: Parameters = ()) -> Cursor:
        raise NotImplementedError

    def checkpoint(
        self, thread_id: str, namespace: str, checkpoint_id: str = ""
    ) -> CheckpointRecord | None:
        if checkpoint_id:
            cursor = self._execute(_BY_ID, (thread_id, namespace, checkpoint_id))
        else:
            cursor = self._execute(_HEAD, (thread_id, namespace))
        row = cursor.fetchone()
        return None if row is None else _checkpoint_record(row)

    def checkpoints(
        self, which: CheckpointFilter, *, limit: int, after: int | None = None
    ) -> list[CheckpointRecord]:
        conditions = self._conditions(which)
        if after is not None:
            conditions.append(("number < ?", after))
        where = " AND ".join(["NOT history", *(clause for clause, _ in conditions)])
        statement = (
            f"SELECT {_CHECKPOINT} FROM gw_checkpoints WHERE {where} ORDER BY number DESC LIMIT ?"
        )
        parameters = (*(value for _, value in conditions), limit)
        return [_checkpoint_record(row) for row in self._execute(statement, parameters)]

    def checkpoint_ancestors(
        self, thread_id: str, namespace: str, checkpoint_id: str, *, limit: int
    ) -> list[CheckpointRecord]:
        place = (thread_id, namespace)
        cursor = self._execute(_ANCESTORS, (*place, checkpoint_id, *place, limit, *place))
        return [_checkpoint_record(row) for row in cursor]

    def channel_values(
        self, thread_id: str, namespace: str, versions: Iterable[tuple[str, str]]
    ) -> list[ChannelValueRecord]:
        found: dict[tuple[str, str], ChannelValueRecord] = {}
        missing = list(dict.fromkeys(versions))
        while missing:
            # One of each channel, since the way of one often leads through the others.
            first = {channel: (channel, version) for channel, version in reversed(missing)}
            for some in _parts(list(first.values())):
                for row in self._execute(*_values_with_bases(thread_id, namespace, some)):
                    record = _value_record(row)
                    found[record.channel, record.version] = record
            missing = [pair for pair in missing if pair not in found and pair != first[pair[0]]]
        return list(found.values())

    def checkpoint_writes(
        self, thread_id: str, namespace: str, checkpoint_ids: Sequence[str]
    ) -> list[WriteRecord]:
        found: list[WriteRecord] = []
        for some in _parts(checkpoint_ids):
            statement = (
                f"SELECT {_WRITE} FROM gw_checkpoint_writes WHERE thread_id = ? AND "
                f"namespace = ? AND checkpoint_id IN ({marks(len(some))}) ORDER BY number"
            )
            cursor = self._execute(statement, (thread_id, namespace, *some))
            found.extend(_write_record(row) for row in cursor)
        return found

    def all_checkpoints(self, thread_id: str, namespace: str) -> list[CheckpointRecord]:
        return [_checkpoint_record(row) for row in self._execute(_ALL, (thread_id, namespace))]

    def checkpoint_namespaces(self, thread_id: str) -> list[str]:
        return [row[0] for row in self._execute(_NAMESPACES, (thread_id,))]

    def checkpoint_places(self, run_ids: Iterable[str]) -> list[tuple[str, str]]:
        found: dict[tuple[str, str], None] = {}
        for run_id in run_ids:
            found |= dict.fromkeys(tuple(row) for row in self._execute(_OF_RUN, (run_id,)))
        return list(found)

    def channel_versions(self, thread_id: str, namespace: str) -> list[tuple[str, str, str]]:
        return [tuple(row) for row in self._execute(_VERSIONS, (thread_id, namespace))]

    def _conditions(self, which: CheckpointFilter) -> list[tuple[str, object]]:
        conditions: list[tuple[str, object]] = [
            (f"{column} = ?", value)
            for column, value in (
                ("thread_id", which.thread_id),
                ("namespace", which.namespace),
                ("checkpoint_id", which.checkpoint_id),
            )
            if value is not None
        ]
        if which.metadata is not None:
            conditions.append(("graphwire_contains(metadata, ?)", which.metadata))
        if which.before:
            number = self._number(which.thread_id, which.before)
            # One that is not there, or not any more, has but the place that its id gives it.
            conditions.append(
                ("checkpoint_id < ?", which.before) if number is None else ("number < ?", number)
            )
        return conditions

    def _number(self, thread_id: str | None, checkpoint_id: str) -> int | None:
        statement = "SELECT MIN(number) FROM gw_checkpoints WHERE checkpoint_id = ?"
        parameters: list[object] = [checkpoint_id]
        if thread_id is not None:
            statement += " AND thread_id = ?"
            parameters.append(thread_id)
        number: int | None = self._execute(statement, parameters).fetchone()[0]
        return number


class CheckpointWrites(CheckpointReads):
    """The part of `Transaction` that is about checkpoints."""

    def _execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        raise NotImplementedError

    def put_checkpoint(
        self, checkpoint: CheckpointRecord, values: Sequence[ChannelValueRecord] = ()
    ) -> None:
        self._execute(
            _PUT_CHECKPOINT,
            (
                checkpoint.thread_id,
                checkpoint.namespace,
                checkpoint.checkpoint_id,
                checkpoint.parent_checkpoint_id,
                checkpoint.run_id,
                checkpoint.metadata,
                checkpoint.body,
            ),
        )
        for value in values:
            self._put_value(value)

    def put_checkpoint_writes(self, writes: Iterable[WriteRecord], *, run_id: str = "") -> None:
        self._execute_many(
            _PUT_WRITE,
            [
                (w.thread_id, w.namespace, w.checkpoint_id, w.task_id, w.task_path, w.body, run_id)
                for w in writes
            ],
        )

    def checkpoints_of_run(self, thread_id: str, run_id: str) -> list[CheckpointRecord]:
        made = (_checkpoint_record(row) for row in self._execute(_MADE_BY, (run_id,)))
        return [record for record in made if record.thread_id == thread_id]

    def drop_writes_of_run(self, thread_id: str, run_id: str) -> None:
        self._execute(_DROP_WRITES_OF_RUN, (thread_id, run_id))

    def delete_checkpoints(self, thread_id: str) -> None:
        for table in _TABLES:
            self._execute(f"DELETE FROM {table} WHERE thread_id = ?", (thread_id,))

    def make_history(self, thread_id: str, namespace: str, checkpoint_ids: Iterable[str]) -> None:
        rows = [(thread_id, namespace, checkpoint_id) for checkpoint_id in checkpoint_ids]
        self._execute_many(_TO_HISTORY, rows)

    def drop_checkpoints(
        self, thread_id: str, namespace: str, checkpoint_ids: Iterable[str]
    ) -> None:
        rows = [(thread_id, namespace, checkpoint_id) for checkpoint_id in checkpoint_ids]
        self._execute_many(_DROP_CHECKPOINT, rows)
        self._execute_many(_DROP_WRITES, rows)

    def drop_channel_values(
        self, thread_id: str, namespace: str, versions: Iterable[tuple[str, str]]
    ) -> None:
        self._execute_many(
            _DROP_VALUE, [(thread_id, namespace, channel, version) for channel, version in versions]
        )

    def copy_checkpoints(self, source_thread_id: str, target_thread_id: str) -> None:
        for table, columns in _TABLES.items():
            others = columns.removeprefix("thread_id, ")
            order = "" if table == "gw_channel_values" else "ORDER BY number"
            self._execute(
                f"INSERT INTO {table} ({columns}) SELECT CAST(? AS TEXT), {others} FROM {table} "
                f"WHERE thread_id = ? {order}",
                (target_thread_id, source_thread_id),
            )

    def _put_value(self, value: ChannelValueRecord) -> None:
        place = (value.thread_id, value.namespace, value.channel)
        if not value.base_version:
            self._execute(_PUT_VALUE, (*place, value.version, "", value.body))
            return
        parameters = (value.version, value.body, *place, value.base_version)
        if self._execute(_PUT_DELTA, parameters).rowcount == 1:
            return
        if self._execute(_HAS_VALUE, (*place, value.version)).fetchone() is None:
            raise IntegrityError(
                f"version {value.version} of channel {value.channel!r} in thread "
                f"{value.thread_id!r} is a delta against {value.base_version}, which has gone"
            )


def _values_with_bases(
    thread_id: str, namespace: str, versions: Sequence[tuple[str, str]]
) -> tuple[str, list[object]]:
    """Returns a statement that reads some versions, and all that they go back to."""
    pairs = ", ".join(["(?, ?)"] * len(versions))
    statement = f"""
        WITH RECURSIVE wanted (channel, version) AS (VALUES {pairs}),
        way ({_VALUE}) AS (
            SELECT v.thread_id, v.namespace, v.channel, v.version, v.base_version, v.body
            FROM wanted w JOIN gw_channel_values v ON v.thread_id = ? AND v.namespace = ?
                AND v.channel = w.channel AND v.version = w.version
            UNION ALL
            SELECT v.thread_id, v.namespace, v.channel, v.version, v.base_version, v.body
            FROM way w JOIN gw_channel_values v ON v.thread_id = w.thread_id
                AND v.namespace = w.namespace AND v.channel = w.channel
                AND v.version = w.base_version
        )
        SELECT {_VALUE} FROM way
    """
    parameters = [name for pair in versions for name in pair]
    return statement, [*parameters, thread_id, namespace]


def _checkpoint_record(row: Sequence[Any]) -> CheckpointRecord:
    thread_id, namespace, checkpoint_id, parent_id, run_id, metadata, body, number, history = row
    return CheckpointRecord(
        thread_id,
        namespace,
        checkpoint_id,
        parent_id,
        run_id,
        metadata,
        bytes(body),
        number,
        bool(history),
    )


def _value_record(row: Sequence[Any]) -> ChannelValueRecord:
    thread_id, namespace, channel, version, base_version, body = row
    return ChannelValueRecord(thread_id, namespace, channel, version, base_version, bytes(body))


def _write_record(row: Sequence[Any]) -> WriteRecord:
    thread_id, namespace, checkpoint_id, task_id, task_path, body = row
    return WriteRecord(thread_id, namespace, checkpoint_id, task_id, task_path, bytes(body))


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
