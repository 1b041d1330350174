"""The statements on assistants, as parts of the storage's `Reader` and `Transaction`.

They are in SQL that SQLite and Postgres both read, with `?` for parameters. What the methods
promise is said in `storage.interface`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from graphwire_server.storage.records import (
    AssistantFilter,
    AssistantHead,
    AssistantOrder,
    AssistantPosition,
    AssistantRecord,
    ThreadStatus,
)
from graphwire_server.storage.sql.session import Cursor, Parameters, Row
from graphwire_server.storage.sql.statements import access_conditions, insert, locked

_HEAD = "assistant_id, version, newest, built_in, create_time"
_VERSION = (
    "assistant_id, version, graph_id, name, folded_name, description, config, context, metadata, "
    "breakpoints, update_time"
)
#: The columns of an assistant, and their types.
_TYPES = {
    "assistant_id": "TEXT",
    "graph_id": "TEXT",
    "version": "BIGINT",
    "name": "TEXT",
    "create_time": "BIGINT",
    "update_time": "BIGINT",
    "description": "TEXT",
    "metadata": "TEXT",
    "config": "TEXT",
    "context": "TEXT",
    "breakpoints": "TEXT",
    "built_in": "BOOLEAN",
}
_ASSISTANT = ", ".join(_TYPES)
_CASTS = ", ".join(f"CAST(? AS {kind})" for kind in _TYPES.values())
_OF_HEAD = ("create_time", "built_in")
_JOINED = ", ".join(f"{'a' if name in _OF_HEAD else 'v'}.{name}" for name in _TYPES)
_VERSIONS = "gw_assistants a JOIN gw_assistant_versions v ON v.assistant_id = a.assistant_id"

_ONE_HEAD = f"SELECT {_HEAD} FROM gw_assistants a WHERE a.assistant_id = ?"
_LATEST = f"SELECT {_JOINED} FROM {_VERSIONS} AND v.version = a.version WHERE a.assistant_id = ?"
_ONE_VERSION = f"SELECT {_JOINED} FROM {_VERSIONS} WHERE a.assistant_id = ? AND v.version = ?"

_INSERT_HEAD = insert("gw_assistants", _HEAD)
_INSERT_VERSION = insert("gw_assistant_versions", _VERSION)
_RAISE = "UPDATE gw_assistants SET version = ?, newest = ? WHERE assistant_id = ?"
_SET_VERSION = "UPDATE gw_assistants SET version = ? WHERE assistant_id = ?"
_DELETE = "DELETE FROM gw_assistants WHERE assistant_id = ?"
# Two walks along indexes that hold nothing but active runs.
_ACTIVE_RUNS = (
    "SELECT run_id, thread_id FROM gw_runs WHERE status = 'PENDING' AND assistant_id = ? UNION ALL"
    " SELECT run_id, thread_id FROM gw_runs WHERE status = 'RUNNING' AND assistant_id = ?"
)
_KEEP = "SELECT 1 FROM gw_assistants WHERE assistant_id = ?"

_ORDERS = {
    AssistantOrder.NAME: "name",
    AssistantOrder.ASSISTANT_ID: "assistant_id",
    AssistantOrder.CREATE_TIME: "create_time",
    AssistantOrder.UPDATE_TIME: "update_time",
    AssistantOrder.GRAPH_ID: "graph_id",
}


class AssistantReads:
    """The part of `Reader` that is about assistants."""

    def _execute(self, statement: str, parameters: Parameters = ()) -> Cursor:
        raise NotImplementedError

    def assistant(self, assistant_id: str, version: int = 0) -> AssistantRecord | None:
        if "\0" in assistant_id:
            return None
        if version:
            cursor = self._execute(_ONE_VERSION, (assistant_id, version))
        else:
            cursor = self._execute(_LATEST, (assistant_id,))
        row = cursor.fetchone()
        return None if row is None else _assistant(row)

    def assistant_head(self, assistant_id: str) -> AssistantHead | None:
        return self._head(_ONE_HEAD, assistant_id)

    def assistants(
        self,
        which: AssistantFilter,
        *,
        limit: int,
        order: AssistantOrder = AssistantOrder.NAME,
        descending: bool = False,
        after: AssistantPosition | None = None,
        graphs: Sequence[AssistantRecord] = (),
    ) -> list[AssistantRecord]:
        if not _can_match(which):
            return []
        tables, parameters = _all(graphs)
        conditions, wanted = _conditions(which)
        column = _ORDERS[order]
        if after is not None:
            conditions.append(f"({column}, assistant_id) {'<' if descending else '>'} (?, ?)")
            wanted += [after.value, after.assistant_id]
        way = "DESC" if descending else "ASC"
        statement = (
            f"{tables} SELECT {_ASSISTANT} FROM everything WHERE {' AND '.join(conditions)}"
            f" ORDER BY {column} {way}, assistant_id {way} LIMIT ?"
        )
        return [_assistant(row) for row in self._execute(statement, [*parameters, *wanted, limit])]

    def count_assistants(
        self, which: AssistantFilter, *, graphs: Sequence[AssistantRecord] = ()
    ) -> int:
        if not _can_match(which):
            return 0
        tables, parameters = _all(graphs)
        conditions, wanted = _conditions(which)
        statement = f"{tables} SELECT COUNT(*) FROM everything WHERE {' AND '.join(conditions)}"
        return int(self._execute(statement, [*parameters, *wanted]).fetchone()[0])

    def assistant_versions(
        self,
        assistant_id: str,
        *,
        limit: int,
        metadata: str | None = None,
        below: int = 0,
        first: AssistantRecord | None = None,
    ) -> list[AssistantRecord]:
        _check_object(metadata)
        kept = f"SELECT {_JOINED} FROM {_VERSIONS} WHERE a.assistant_id = ?"
        parameters: list[object] = [assistant_id]
        if first is not None:
            kept += f" UNION ALL VALUES ({_CASTS})"
            parameters += [getattr(first, name) for name in _TYPES]
        conditions = ["TRUE"]
        if metadata is not None:
            conditions.append("graphwire_contains(metadata, ?)")
            parameters.append(metadata)
        if below:
            conditions.append("version < ?")
            parameters.append(below)
        statement = (
            f"WITH versions ({_ASSISTANT}) AS ({kept}) SELECT {_ASSISTANT} FROM versions"
            f" WHERE {' AND '.join(conditions)} ORDER BY version DESC LIMIT ?"
        )
        return [_assistant(row) for row in self._execute(statement, [*parameters, limit])]

    def threads_of_assistant(
        self, assistant_id: str, *, statuses: Sequence[ThreadStatus] = ()
    ) -> list[str]:
        wanted = [status.value for status in statuses or ThreadStatus]
        of_these = f"assistant_id = ? AND status IN ({', '.join('?' * len(wanted))})"
        # In two parts, each of which walks an index.
        statement = (
            f"SELECT thread_id FROM gw_threads WHERE {of_these} AND NOT stateless UNION ALL"
            f" SELECT thread_id FROM gw_threads WHERE {of_these} AND stateless"
        )
        return [row[0] for row in self._execute(statement, [assistant_id, *wanted] * 2)]

    def active_runs_of_assistant(self, assistant_id: str) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self._execute(_ACTIVE_RUNS, (assistant_id,) * 2)]

    def _head(self, select: str, assistant_id: str) -> AssistantHead | None:
        if "\0" in assistant_id:
            return None
        row = self._execute(select, (assistant_id,)).fetchone()
        if row is None:
            return None
        return AssistantHead(
            assistant_id=row[0],
            version=row[1],
            newest=row[2],
            built_in=bool(row[3]),
            create_time=row[4],
        )


class AssistantWrites(AssistantReads):
    """The part of `Transaction` that is about assistants."""

    _locks: bool

    def assistant_head(self, assistant_id: str) -> AssistantHead | None:
        return self._head(locked(_ONE_HEAD, "a") if self._locks else _ONE_HEAD, assistant_id)

    def insert_assistant(self, assistant: AssistantRecord) -> None:
        head = (
            assistant.assistant_id,
            assistant.version,
            assistant.version,
            assistant.built_in,
            assistant.create_time,
        )
        self._execute(_INSERT_HEAD, head)
        self._execute(_INSERT_VERSION, _version_row(assistant))

    def add_assistant_version(self, assistant: AssistantRecord) -> None:
        version, assistant_id = assistant.version, assistant.assistant_id
        self._execute(_INSERT_VERSION, _version_row(assistant))
        self._execute(_RAISE, (version, version, assistant_id))

    def set_assistant_version(self, assistant_id: str, version: int) -> None:
        self._execute(_SET_VERSION, (version, assistant_id))

    def keep_assistant(self, assistant_id: str) -> bool:
        select = f"{_KEEP} FOR KEY SHARE" if self._locks else _KEEP
        return self._execute(select, (assistant_id,)).fetchone() is not None

    def delete_assistant(self, assistant_id: str) -> bool:
        return self._execute(_DELETE, (assistant_id,)).rowcount == 1


def _all(graphs: Sequence[AssistantRecord]) -> tuple[str, list[object]]:
    """Returns a WITH of all assistants as `everything`, and its parameters."""
    kept = (
        f"SELECT {_JOINED}, v.folded_name AS folded_name FROM {_VERSIONS} AND v.version = a.version"
    )
    if not graphs:
        return f"WITH everything AS ({kept})", []
    values = ", ".join([f"({_CASTS}, CAST(? AS TEXT))"] * len(graphs))
    tables = (
        f"WITH graphs ({_ASSISTANT}, folded_name) AS (VALUES {values}),"
        f" everything AS ({kept} UNION ALL SELECT {_ASSISTANT}, folded_name FROM graphs g"
        f" WHERE NOT EXISTS (SELECT 1 FROM {_VERSIONS} AND v.version = a.version"
        " WHERE a.assistant_id = g.assistant_id))"
    )
    parameters: list[object] = []
    for graph in graphs:
        parameters += [*(getattr(graph, name) for name in _TYPES), graph.name.casefold()]
    return tables, parameters


def _conditions(which: AssistantFilter) -> tuple[list[str], list[object]]:
    conditions = ["TRUE"]
    parameters: list[object] = []
    if which.graph_id:
        conditions.append("graph_id = ?")
        parameters.append(which.graph_id)
    if which.name:
        conditions.append("folded_name LIKE ? ESCAPE '!'")
        parameters.append(f"%{_literally(which.name.casefold())}%")
    if which.metadata is not None:
        conditions.append("graphwire_contains(metadata, ?)")
        parameters.append(which.metadata)
    # Assistants have no owners but in their metadata.
    seen, values = access_conditions(replace(which.access, owner=None), "everything")
    if seen:
        conditions.append(f"(built_in OR ({' AND '.join(seen)}))")
    return conditions, [*parameters, *values]


def _literally(text: str) -> str:
    """Returns a text as a pattern for LIKE that matches just it."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return text


def _can_match(which: AssistantFilter) -> bool:
    """Keeps filters from the database that it would fail on.

    Raises:
        ValueError: What JSON is to contain is no JSON object.
    """
    _check_object(which.metadata)
    # Nothing is called so, and Postgres can't even be asked.
    return "\0" not in which.graph_id and "\0" not in which.name


def _check_object(metadata: str | None) -> None:
    """Raises ValueError for a text that is no JSON object; None is fine."""
    if metadata is None:
        return
    try:
        value = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"metadata to contain must be a JSON object, not {metadata!r:.80}")


def _version_row(assistant: AssistantRecord) -> Row:
    """Returns a version as a row of _VERSION."""
    return (
        assistant.assistant_id,
        assistant.version,
        assistant.graph_id,
        assistant.name,
        assistant.name.casefold(),
        assistant.description,
        assistant.config,
        assistant.context,
        assistant.metadata,
        assistant.breakpoints,
        assistant.update_time,
    )


def _assistant(row: Row) -> AssistantRecord:
    fields = dict(zip(_TYPES, row, strict=True))
    return AssistantRecord(**{**fields, "built_in": bool(fields["built_in"])})
