"""The statements on threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphwire_server.storage.access import Access
from graphwire_server.storage.records import (
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadsKept,
    ThreadSort,
    ThreadStatus,
)
from graphwire_server.storage.sql.statements.parts import access_conditions, insert, marks

THREAD_COLUMNS = (
    "thread_id, status, assistant_id, checkpoint_id, next_nodes, stateless, "
    "create_time, update_time, error, metadata, ttl, breakpoints, state_update_time, graph_id, "
    "owner"
)

# A thread without checkpoints has none too many.
INSERT_THREAD = (
    f"INSERT INTO gw_threads ({THREAD_COLUMNS}, unpruned)"
    f" VALUES ({marks(THREAD_COLUMNS.count(',') + 1)}, FALSE)"
)

THREAD = f"SELECT {THREAD_COLUMNS} FROM gw_threads t WHERE thread_id = ?"
THREAD_STATE = "SELECT state FROM gw_thread_states WHERE thread_id = ?"

DELETE_THREAD = "DELETE FROM gw_threads WHERE thread_id = ?"

# Word for word as in the indexes that hold them, which no other query can use.
_UNUSED = "status <> 'BUSY' AND status <> 'INTERRUPTED'"


def _expired_threads(which: str, expires: str) -> str:
    return (
        f"SELECT t.thread_id FROM gw_threads t WHERE {which} AND {_UNUSED} AND {expires} < ?"
        f" ORDER BY {expires}, t.thread_id LIMIT ? OFFSET ?"
    )


#: Parameters: the time, the limit, how many to skip.
EXPIRED_THREADS = {
    ThreadsKept.OWN: _expired_threads("ttl > 0", "(update_time + ttl)"),
    ThreadsKept.DEFAULT: _expired_threads("NOT stateless AND ttl IS NULL", "update_time"),
    ThreadsKept.STATELESS: _expired_threads("stateless AND ttl IS NULL", "update_time"),
}

UNPRUNED_THREADS = """
    SELECT t.thread_id FROM gw_threads t
    WHERE unpruned AND status <> 'BUSY' AND NOT EXISTS (
        SELECT 1 FROM gw_runs r WHERE r.thread_id = t.thread_id AND r.status = 'PENDING')
    ORDER BY t.thread_id LIMIT ? OFFSET ?
"""

MARK_PRUNED = "UPDATE gw_threads SET unpruned = FALSE WHERE thread_id = ?"

#: Parameters: the thread_id, four times.
EXTENT = """
    SELECT (SELECT COUNT(*) FROM gw_threads WHERE thread_id = ?),
        (SELECT COUNT(*) FROM gw_runs WHERE thread_id = ?),
        (SELECT COUNT(*) FROM gw_runs r JOIN gw_events e ON e.run_id = r.run_id
            WHERE r.thread_id = ?),
        (SELECT COUNT(*) FROM gw_checkpoints WHERE thread_id = ?)
"""

PUT_THREAD_STATE = """
    INSERT INTO gw_thread_states (thread_id, state) VALUES (?, ?)
    ON CONFLICT (thread_id) DO UPDATE SET state = excluded.state
"""

DELETE_THREAD_STATE = "DELETE FROM gw_thread_states WHERE thread_id = ?"


def update_thread(columns: Sequence[str]) -> str:
    """Returns the UPDATE of some columns of a thread; its id is the last parameter.

    It returns whether the thread holds runs back.
    """
    assignments = ", ".join(f"{column} = ?" for column in columns)
    return f"UPDATE gw_threads SET {assignments} WHERE thread_id = ? RETURNING holds_back"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list of threads, which is walked along an index.

    Attributes:
        keys: The columns that it is sorted by, all in one direction.
        ascending: In which.
        condition: What is true of the part; empty: nothing.
        after: The values of the keys after which it begins; empty: from its beginning.
    """

    keys: tuple[str, ...]
    ascending: bool
    condition: str = ""
    after: tuple[object, ...] = ()


def parts_of(sort: ThreadSort, after: ThreadPosition | None) -> list[Part]:
    """Returns the parts of a list of threads, one after the other, from a place on."""
    ascending = sort.ascending
    place: tuple[object, ...]
    match sort.order:
        case ThreadOrder.THREAD_ID:
            return [Part(("thread_id",), ascending, "", (after.thread_id,) if after else ())]
        case ThreadOrder.STATUS:
            place = (after.status, after.time, after.thread_id) if after else ()
            return [Part(("status", "create_time", "thread_id"), ascending, "", place)]
        case ThreadOrder.STATE_UPDATE_TIME:
            place = (after.time, after.thread_id) if after and after.time is not None else ()
            has_none, keys = "state_update_time IS NULL", ("state_update_time", "thread_id")
            there = Part(keys, ascending, "state_update_time IS NOT NULL", place)
            if after is None or place:
                return [there, Part(("thread_id",), ascending, has_none)]
            return [Part(("thread_id",), ascending, has_none, (after.thread_id,))]
        case ThreadOrder.CREATE_TIME:
            place = (after.time, after.thread_id) if after else ()
            return [Part(("create_time", "thread_id"), ascending, "", place)]
        case ThreadOrder.UPDATE_TIME:
            place = (after.time, after.thread_id) if after else ()
            # Word for word as in its index.
            return [Part(("update_time", "thread_id"), ascending, "stateless = FALSE", place)]


def list_threads(which: ThreadFilter, part: Part, *, limit: int) -> tuple[str, list[object]]:
    """Returns a page of a part of a list of threads, without their values."""
    # One SELECT a status where an index has it in front: each walks it in order as far as the
    # limit, and only what they find is sorted. With IN the database might sort all that match.
    statuses: Sequence[ThreadStatus | None] = (None,)
    if which.statuses and "create_time" in part.keys:
        statuses = tuple(dict.fromkeys(which.statuses))
    direction, beyond = ("ASC", ">") if part.ascending else ("DESC", "<")
    order = f"ORDER BY {', '.join(f'{key} {direction}' for key in part.keys)} LIMIT ?"
    selects: list[str] = []
    parameters: list[object] = []
    for status in statuses:
        conditions, values = _thread_conditions(which)
        if status is not None:
            conditions.append("status = ?")
            values.append(status)
        elif which.statuses:
            conditions.append(f"status IN ({marks(len(which.statuses))})")
            values += which.statuses
        if part.condition:
            conditions.append(part.condition)
        if part.after:
            conditions.append(f"({', '.join(part.keys)}) {beyond} ({marks(len(part.keys))})")
            values += part.after
        selects.append(
            f"SELECT {THREAD_COLUMNS} FROM gw_threads t WHERE {' AND '.join(conditions)} {order}"
        )
        parameters += [*values, limit]
    if len(selects) == 1:
        return selects[0], parameters
    pages = " UNION ALL ".join(f"SELECT * FROM ({select}) AS page" for select in selects)
    return f"{pages} {order}", [*parameters, limit]


def thread_states(threads: int) -> str:
    """Returns the states of so many threads, those of them that have one."""
    return f"SELECT thread_id, state FROM gw_thread_states WHERE thread_id IN ({marks(threads)})"


def count_threads(which: ThreadFilter) -> tuple[str, list[object]]:
    """Returns the number of threads that match."""
    conditions, parameters = _thread_conditions(which)
    if which.statuses:
        conditions.append(f"status IN ({marks(len(which.statuses))})")
        parameters += which.statuses
    return f"SELECT COUNT(*) FROM gw_threads t WHERE {' AND '.join(conditions)}", parameters


def _thread_conditions(which: ThreadFilter) -> tuple[list[str], list[object]]:
    """Returns all conditions of a filter but that on the status, and their parameters."""
    conditions, parameters = access_conditions(which.access, "t")
    conditions.append("NOT stateless")
    if which.assistant_id:
        conditions.append("assistant_id = ?")
        parameters.append(which.assistant_id)
    if which.thread_ids:
        conditions.append(f"thread_id IN ({marks(len(which.thread_ids))})")
        parameters += which.thread_ids
    if which.metadata is not None:
        conditions.append("graphwire_contains(metadata, ?)")
        parameters.append(which.metadata)
    if which.values is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM gw_thread_states s WHERE s.thread_id = t.thread_id"
            " AND graphwire_contains(s.state, ?))"
        )
        parameters.append(which.values)
    return conditions, parameters


def threads_containing(
    thread_ids: Sequence[str], *, metadata: str | None, values: str | None, access: Access
) -> tuple[str, list[object]]:
    """Returns those of some threads that contain something, and are for somebody to see."""
    conditions, parameters = access_conditions(access, "t")
    if metadata is not None:
        conditions.append("graphwire_contains(t.metadata, ?)")
        parameters.append(metadata)
    if values is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM gw_thread_states s WHERE s.thread_id = t.thread_id"
            " AND graphwire_contains(s.state, ?))"
        )
        parameters.append(values)
    conditions.append(f"t.thread_id IN ({marks(len(thread_ids))})")
    select = f"SELECT thread_id FROM gw_threads t WHERE {' AND '.join(conditions)}"
    return select, [*parameters, *thread_ids]


_BELONGING = "SELECT t.thread_id, t.owner, t.metadata FROM gw_threads t"

THREAD_BELONGS = f"{_BELONGING} WHERE t.thread_id = ?"
RUN_BELONGS = f"{_BELONGING} JOIN gw_runs r ON r.thread_id = t.thread_id WHERE r.run_id = ?"
PAUSE_BELONGS = f"{_BELONGING} JOIN gw_pauses p ON p.thread_id = t.thread_id WHERE p.pause_id = ?"


def threads_belong(threads: int) -> str:
    """Returns the query for to whom so many threads belong, each with its id."""
    return f"{_BELONGING} WHERE t.thread_id IN ({marks(threads)})"


def runs_belong(runs: int) -> str:
    """Returns the query for to whom so many runs belong, each with its id at the end."""
    return f"""
        SELECT t.thread_id, t.owner, t.metadata, r.run_id
        FROM gw_runs r JOIN gw_threads t ON r.thread_id = t.thread_id
        WHERE r.run_id IN ({marks(runs)})
    """


_INHERITS = "thread_id, start_time, spec, breakpoints, assistant_id"

INHERITANCE = """
    SELECT start_time, spec, breakpoints, assistant_id FROM gw_thread_inherits WHERE thread_id = ?
"""

PUT_INHERITANCE = f"""
    {insert("gw_thread_inherits", _INHERITS)}
    ON CONFLICT (thread_id) DO UPDATE SET start_time = excluded.start_time,
        spec = excluded.spec, breakpoints = excluded.breakpoints,
        assistant_id = excluded.assistant_id
"""


def _amount(body: str, tables: str) -> str:
    return f"SELECT COUNT(*), COALESCE(SUM({body}), 0) FROM {tables} WHERE thread_id = ?"


# Metadata is ASCII.
CHECKPOINT_AMOUNT = _amount("LENGTH(body) + LENGTH(metadata)", "gw_checkpoints")
WRITE_AMOUNT = _amount("LENGTH(body)", "gw_checkpoint_writes")
EVENT_AMOUNT = _amount("LENGTH(data)", "gw_runs r JOIN gw_events e ON e.run_id = r.run_id")
RUN_COUNT = "SELECT COUNT(*) FROM gw_runs WHERE thread_id = ?"

CHANNEL_AMOUNTS = """
    SELECT channel, COUNT(*), SUM(LENGTH(body)) FROM gw_channel_values
    WHERE thread_id = ? GROUP BY channel ORDER BY channel
"""

BREAKPOINT_HITS = "SELECT breakpoint_id, task_id FROM gw_breakpoint_hits WHERE thread_id = ?"
INSERT_BREAKPOINT_HIT = (
    insert("gw_breakpoint_hits", "thread_id, breakpoint_id, task_id") + " ON CONFLICT DO NOTHING"
)


def forget_breakpoint_hits(kept: int) -> str:
    """Returns a DELETE. Parameters: thread_id; for each prefix to keep its length, and itself."""
    others = " AND SUBSTR(breakpoint_id, 1, ?) <> ?" * kept
    return f"DELETE FROM gw_breakpoint_hits WHERE thread_id = ?{others}"
