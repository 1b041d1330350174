"""Every SQL statement, in SQL that Postgres reads as well.

Parameters are `?`. Rows come in the order that rows.py reads and writes them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from graphwire_server.storage.access import Access
from graphwire_server.storage.records import (
    PauseFilter,
    PausePosition,
    PauseStatus,
    Position,
    RunStatus,
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadsKept,
    ThreadSort,
    ThreadStatus,
)

NOW = "SELECT graphwire_now()"


def insert(table: str, columns: str) -> str:
    """Returns an INSERT of one row; `columns` is a list with commas."""
    return f"INSERT INTO {table} ({columns}) VALUES ({_marks(columns.count(',') + 1)})"


def locked(select: str, tables: str, *, skip: bool = False) -> str:
    """Returns a SELECT that locks the rows it finds, for databases where others may write.

    They can't be changed until the end of the transaction, but be referred to by new rows.

    Args:
        select: The SELECT.
        tables: Of which of its tables: aliases with commas.
        skip: Pass over rows that are locked by others, instead of waiting for them.
    """
    return f"{select} FOR NO KEY UPDATE OF {tables}{' SKIP LOCKED' if skip else ''}"


def _marks(count: int) -> str:
    return ", ".join("?" * count)


# --- threads ---

THREAD_COLUMNS = (
    "thread_id, status, assistant_id, checkpoint_id, next_nodes, stateless, "
    "create_time, update_time, error, metadata, ttl, breakpoints, state_update_time, graph_id, "
    "owner"
)

# A thread without checkpoints has none too many.
INSERT_THREAD = (
    f"INSERT INTO gw_threads ({THREAD_COLUMNS}, unpruned)"
    f" VALUES ({_marks(THREAD_COLUMNS.count(',') + 1)}, FALSE)"
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
            conditions.append(f"status IN ({_marks(len(which.statuses))})")
            values += which.statuses
        if part.condition:
            conditions.append(part.condition)
        if part.after:
            conditions.append(f"({', '.join(part.keys)}) {beyond} ({_marks(len(part.keys))})")
            values += part.after
        selects.append(
            f"SELECT {THREAD_COLUMNS} FROM gw_threads t WHERE {' AND '.join(conditions)} {order}"
        )
        parameters += [*values, limit]
    if len(selects) == 1:
        return selects[0], parameters
    pages = " UNION ALL ".join(f"SELECT * FROM ({select}) AS page" for select in selects)
    return f"{pages} {order}", [*parameters, limit]


def access_conditions(access: Access, table: str) -> tuple[list[str], list[object]]:
    """Returns the conditions that a table's rows are for somebody to see, and their parameters.

    Args:
        access: What he may see.
        table: The alias of the table; that of threads, unless the access is to any owner's.
    """
    conditions: list[str] = []
    parameters: list[object] = []
    if access.owner is not None:
        conditions.append(f"{table}.owner = ?")
        parameters.append(access.owner)
        if access.owner:
            conditions.append(f"{table}.owner <> ''")  # as its index has it
    for contained in (access.metadata, access.also):
        if contained:
            conditions.append(f"graphwire_contains({table}.metadata, ?)")
            parameters.append(contained)
    for key, elements in access.lists:
        conditions.append(f"graphwire_has_all({table}.metadata, ?, ?)")
        parameters += [key, elements]
    return conditions, parameters


def _of_thread(table: str, access: Access) -> tuple[list[str], list[object]]:
    """Returns the condition that a row's thread is for somebody to see, if not all are."""
    conditions, parameters = access_conditions(access, "t")
    if not conditions:
        return [], []
    there = f"EXISTS (SELECT 1 FROM gw_threads t WHERE t.thread_id = {table}.thread_id AND "
    return [f"{there}{' AND '.join(conditions)})"], parameters


def thread_states(threads: int) -> str:
    """Returns the states of so many threads, those of them that have one."""
    return f"SELECT thread_id, state FROM gw_thread_states WHERE thread_id IN ({_marks(threads)})"


def count_threads(which: ThreadFilter) -> tuple[str, list[object]]:
    """Returns the number of threads that match."""
    conditions, parameters = _thread_conditions(which)
    if which.statuses:
        conditions.append(f"status IN ({_marks(len(which.statuses))})")
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
        conditions.append(f"thread_id IN ({_marks(len(which.thread_ids))})")
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


# --- runs ---

RUN_COLUMNS = (
    "run_id, thread_id, assistant_id, status, create_time, due_time, start_time, end_time, "
    "resumed_run_id, resumed_by_run_id, last_sequence, cancel_requested, checkpoint_id, "
    "lease_owner, lease_epoch, attempt, losses, absorbed, error, metadata, oldest_sequence, "
    "pause_requested, steering, rolled_back, discards, principal"
)
BODY_COLUMNS = "spec, breakpoints"


def _next_place(thread_id: str) -> str:
    """Returns the place for a run of a thread that begins, as an expression."""
    last = (
        "SELECT COALESCE(MAX(o.place), 0) AS place FROM gw_runs o"
        f" WHERE o.thread_id = {thread_id} AND o.place IS NOT NULL"
    )
    return (
        "(SELECT CASE WHEN t.removed_place > last.place THEN t.removed_place ELSE last.place END"
        f" + 1 FROM gw_threads t CROSS JOIN ({last}) AS last WHERE t.thread_id = {thread_id})"
    )


#: Of a run that is PENDING; returns what it waits for, which is empty for nothing but its turn.
#: Whoever adds it has locked the thread. Parameters: the row; due_time, the thread_id, discards.
INSERT_RUN = f"""
    INSERT INTO gw_runs ({RUN_COLUMNS}, waits_for)
    VALUES ({_marks(RUN_COLUMNS.count(",") + 1)}, CASE
        WHEN ? > graphwire_now() THEN 'TIME'
        WHEN EXISTS (
            SELECT 1 FROM gw_threads t
            WHERE t.thread_id = ? AND t.status = 'INTERRUPTED' AND NOT ?) THEN 'THREAD'
        ELSE '' END)
    RETURNING waits_for
"""

#: Of a run that has begun. Parameters: the row, and the thread_id twice.
INSERT_BEGUN_RUN = (
    f"INSERT INTO gw_runs ({RUN_COLUMNS}, place)"
    f" VALUES ({_marks(RUN_COLUMNS.count(',') + 1)}, {_next_place('?')})"
)
INSERT_RUN_BODY = insert("gw_run_bodies", f"run_id, {BODY_COLUMNS}")

_RUN_LIST = ", ".join(f"r.{column}" for column in RUN_COLUMNS.split(", "))
_RUNS = "gw_runs r JOIN gw_run_bodies b ON b.run_id = r.run_id"
_RUN_AND_BODY = f"{_RUN_LIST}, b.spec, b.breakpoints"
_SELECT_RUN = f"SELECT {_RUN_AND_BODY} FROM {_RUNS}"

RUN = f"{_SELECT_RUN} WHERE r.run_id = ?"

ACTIVE_RUNS = f"""
    SELECT {_RUN_AND_BODY}, r.number FROM {_RUNS}
    WHERE r.thread_id = ? AND r.status = 'PENDING'
    UNION ALL
    SELECT {_RUN_AND_BODY}, r.number FROM {_RUNS}
    WHERE r.thread_id = ? AND r.status = 'RUNNING'
    ORDER BY number
"""

HAS_ACTIVE_RUN = """
    SELECT 1 FROM gw_runs WHERE thread_id = ? AND status = 'PENDING'
    UNION ALL
    SELECT 1 FROM gw_runs WHERE thread_id = ? AND status = 'RUNNING'
    LIMIT 1
"""

# By their start: a resume goes before runs that were accepted earlier and wait behind the pause.
# Nothing goes on from a run that has left nothing; see `RunRecord.left_nothing`.
#: Parameters: the thread_id, and the run_id of one that is not meant.
LAST_RUN = f"""
    {_SELECT_RUN} WHERE r.thread_id = ? AND r.run_id <> ?
        AND r.start_time IS NOT NULL AND NOT r.rolled_back
        AND (r.absorbed OR r.status NOT IN ('FAILED', 'CANCELLED', 'TIMED_OUT'))
    ORDER BY r.start_time DESC, r.number DESC LIMIT 1
"""

NEXT_DUE_TIME = "SELECT MIN(due_time) FROM gw_runs WHERE status = 'PENDING' AND due_time > ?"

CANCELLED_RUNS = """
    SELECT run_id, abandon_requested FROM gw_runs
    WHERE status = 'RUNNING' AND cancel_requested AND lease_owner = ? ORDER BY number
"""

HELD_RUNS = """
    SELECT run_id, lease_epoch FROM gw_runs
    WHERE status = 'RUNNING' AND lease_owner = ? ORDER BY number
"""

REQUEST_CANCEL = """
    UPDATE gw_runs SET cancel_requested = TRUE, abandon_requested = (abandon_requested OR ?),
        rollback_requested = (rollback_requested OR ?)
    WHERE run_id = ?
"""
REQUEST_PAUSE = """
    UPDATE gw_runs SET pause_requested = TRUE, steering = steering + 1 WHERE run_id = ?
"""
SET_RUN_BREAKPOINTS = "UPDATE gw_run_bodies SET breakpoints = ? WHERE run_id = ?"
RAISE_STEERING = "UPDATE gw_runs SET steering = steering + 1 WHERE run_id = ?"
CONFIRM_STEERING = """
    UPDATE gw_runs SET steering_confirmed = ? WHERE run_id = ? AND steering_confirmed < ?
"""
UNSTEERED_RUNS = f"""
    {_SELECT_RUN} WHERE r.status = 'RUNNING' AND r.lease_owner = ?
    AND r.steering > r.steering_confirmed ORDER BY r.number
"""
IS_STEERED = """
    SELECT 1 FROM gw_runs r WHERE run_id = ? AND (
        status <> 'RUNNING' OR steering <= steering_confirmed)
"""
ROLLBACK_REQUESTED = "SELECT rollback_requested FROM gw_runs WHERE run_id = ?"


def active_run_ids(status: RunStatus, access: Access) -> tuple[str, list[object]]:
    """Returns the active runs of a status, the latest first."""
    # Word for word as in the indexes.
    which = {RunStatus.PENDING: "r.status = 'PENDING'", RunStatus.RUNNING: "r.status = 'RUNNING'"}
    seen, parameters = _of_thread("r", access)
    conditions = " AND ".join([which[status], *seen])
    return f"SELECT run_id FROM gw_runs r WHERE {conditions} ORDER BY number DESC", parameters


LET_DISCARD = """
    UPDATE gw_runs SET discards = TRUE,
        waits_for = CASE WHEN waits_for = 'THREAD' THEN '' ELSE waits_for END
    WHERE run_id = ?
"""
CHANGE_SPEC = "UPDATE gw_run_bodies SET spec = ? WHERE run_id = ?"
LINK_RESUME = "UPDATE gw_runs SET resumed_by_run_id = ? WHERE run_id = ?"
DELETE_RUN = "DELETE FROM gw_runs WHERE run_id = ?"


def list_runs(
    thread_id: str, statuses: Sequence[RunStatus], *, limit: int, after: Position | None
) -> tuple[str, list[object]]:
    """Returns a page of a thread's runs, newest first."""
    conditions = ["r.thread_id = ?"]
    parameters: list[object] = [thread_id]
    if statuses:
        conditions.append(f"r.status IN ({_marks(len(statuses))})")
        parameters += statuses
    if after is not None:
        conditions.append("(r.create_time, r.run_id) < (?, ?)")
        parameters += [after.create_time, after.key]
    sql = (
        f"{_SELECT_RUN} WHERE {' AND '.join(conditions)}"
        " ORDER BY r.create_time DESC, r.run_id DESC LIMIT ?"
    )
    return sql, [*parameters, limit]


def change_run(*, ends: bool, begins: bool) -> str:
    """Returns the UPDATE of a run's status if it has a certain one now.

    A run that ends is let go by whoever executes it; one that `begins` gets its place.

    Parameters: status, error, checkpoint_id, whether it is rolled back, the time, run_id, the
    status until now.
    """
    changes = "end_time = ?, lease_owner = ''" if ends else "start_time = ?"
    place = f", place = {_next_place('gw_runs.thread_id')}" if begins else ""
    return (
        "UPDATE gw_runs SET status = ?, error = ?, checkpoint_id = ?, rolled_back = ?,"
        f" {changes}{place} WHERE run_id = ? AND status = ?"
    )


THREAD_OF_RUN = """
    SELECT t.thread_id FROM gw_threads t JOIN gw_runs r ON r.thread_id = t.thread_id
    WHERE r.run_id = ?
"""

NEXT_RUN = f"""
    SELECT {_RUN_AND_BODY}, r.place FROM {_RUNS}
    WHERE r.thread_id = ? AND r.place > ? ORDER BY r.place LIMIT 1
"""

PLACE_OF = "SELECT place FROM gw_runs WHERE run_id = ?"

LAST_TRIMMED_PLACE = """
    SELECT place FROM gw_runs
    WHERE thread_id = ? AND place IS NOT NULL AND oldest_sequence > 1
    ORDER BY place DESC LIMIT 1
"""

RUN_AT = f"{_SELECT_RUN} WHERE r.thread_id = ? AND r.place = ?"

#: Parameters: the thread_id, twice.
LAST_PLACE = f"SELECT {_next_place('?')} - 1"

#: Parameters: the run_id.
NOTE_REMOVED_PLACE = """
    UPDATE gw_threads SET removed_place = r.place
    FROM gw_runs r
    WHERE r.run_id = ? AND gw_threads.thread_id = r.thread_id
        AND r.place > gw_threads.removed_place
"""


def runs_by_id(runs: int) -> str:
    """Returns so many runs."""
    return f"{_SELECT_RUN} WHERE r.run_id IN ({_marks(runs)})"


# --- servers and leases ---

JOIN_SERVERS = insert("gw_servers", "server_id, lease_until")
LEAVE_SERVERS = "DELETE FROM gw_servers WHERE server_id = ?"
FORGET_SERVERS = "DELETE FROM gw_servers WHERE lease_until <= ?"

RENEW_SERVER = """
    UPDATE gw_servers SET lease_until = ? WHERE server_id = ? AND lease_until > ?
"""

SERVER_IS_ALIVE = "SELECT 1 FROM gw_servers WHERE server_id = ? AND lease_until > ?"

# With a plain condition on the status, Postgres would look through all that are RUNNING.
#: Parameters: the sequence, twice, whether the run is absorbed, run_id, server_id, epoch.
HOLD = """
    UPDATE gw_runs AS r SET
        last_sequence = CASE WHEN last_sequence < ? THEN ? ELSE last_sequence END,
        absorbed = (absorbed OR ?)
    WHERE r.run_id = ? AND r.lease_owner = ? AND r.lease_epoch = ?
        AND CASE r.status WHEN 'RUNNING' THEN TRUE ELSE FALSE END
        AND EXISTS (
            SELECT 1 FROM gw_servers s
            WHERE s.server_id = r.lease_owner AND s.lease_until > graphwire_now())
"""

HAND_BACK = """
    UPDATE gw_runs SET lease_owner = ''
    WHERE run_id = ? AND status = 'RUNNING' AND lease_owner = ? AND lease_epoch = ?
"""

IS_DUE = """r.status = 'PENDING' AND r.waits_for = '' AND r.due_time <= ?
        AND NOT EXISTS (
            SELECT 1 FROM gw_runs o
            WHERE o.thread_id = r.thread_id AND o.status = 'PENDING' AND o.number < r.number)
        AND NOT EXISTS (
            SELECT 1 FROM gw_runs o WHERE o.thread_id = r.thread_id AND o.status = 'RUNNING')
        AND (t.status <> 'INTERRUPTED' OR r.discards)"""

_IS_LOST = """r.status = 'RUNNING'
        AND NOT EXISTS (
            SELECT 1 FROM gw_servers s
            WHERE s.server_id = r.lease_owner AND s.lease_until > ?)"""

# In the order of their numbers, by an index that holds no others.
DUE_RUNS = f"""
    SELECT r.run_id FROM gw_runs r CROSS JOIN gw_threads t
    WHERE t.thread_id = r.thread_id AND {IS_DUE}
    ORDER BY r.number LIMIT ?
"""

# --- runs that wait for more than their turn ---

#: PENDING runs whose time has come, with whether their threads hold them back.
#: Parameters: the time, the limit.
TIMELY_RUNS = """
    SELECT r.number, r.thread_id, t.status = 'INTERRUPTED' AND NOT r.discards
    FROM gw_runs r CROSS JOIN gw_threads t
    WHERE t.thread_id = r.thread_id
        AND r.status = 'PENDING' AND r.waits_for = 'TIME' AND r.due_time <= ?
    ORDER BY r.due_time LIMIT ?
"""
#: Whether there is something for a claim: the run_id of one, or NULL. Parameters: the time, twice.
HAS_DUE_RUN = f"""
    SELECT COALESCE(
        (SELECT r.run_id FROM gw_runs r CROSS JOIN gw_threads t
            WHERE t.thread_id = r.thread_id AND {IS_DUE} ORDER BY r.number LIMIT 1),
        (SELECT r.run_id FROM gw_runs r
            WHERE r.status = 'PENDING' AND r.waits_for = 'TIME' AND r.due_time <= ?
            ORDER BY r.due_time LIMIT 1))
"""
#: Parameters: what for, the number.
WAIT_FOR = "UPDATE gw_runs SET waits_for = ? WHERE number = ?"
#: Parameter: the thread_id.
HOLD_BACK = """
    UPDATE gw_runs SET waits_for = 'THREAD'
    WHERE thread_id = ? AND status = 'PENDING' AND waits_for = '' AND NOT discards
"""
LET_GO = """
    UPDATE gw_runs SET waits_for = ''
    WHERE thread_id = ? AND status = 'PENDING' AND waits_for = 'THREAD'
"""
#: Parameters: whether, the thread_id.
HOLDS_BACK = "UPDATE gw_threads SET holds_back = ? WHERE thread_id = ?"
#: All that are held back by nothing: by servers that did not know of it.
LET_GO_FORGOTTEN = """
    UPDATE gw_runs SET waits_for = 'TIME'
    WHERE status = 'PENDING' AND waits_for = 'THREAD' AND NOT EXISTS (
        SELECT 1 FROM gw_threads t
        WHERE t.thread_id = gw_runs.thread_id AND t.status = 'INTERRUPTED')
"""

LOST_RUNS = f"SELECT r.run_id FROM gw_runs r WHERE {_IS_LOST} ORDER BY r.number LIMIT ?"

# Whoever takes a run reads what is asked of it.
_TAKE = (
    "UPDATE gw_runs AS r SET lease_owner = ?, lease_epoch = lease_epoch + 1,"
    " steering_confirmed = steering,"
)


def take_due(runs: int) -> str:
    """Returns the UPDATE that starts so many runs, as far as they are still due.

    Parameters: server_id, the time twice, the run_ids.
    """
    return (
        f"{_TAKE} attempt = attempt + 1, status = 'RUNNING', start_time = COALESCE(start_time, ?),"
        f" place = {_next_place('r.thread_id')}"
        f" FROM gw_threads t WHERE t.thread_id = r.thread_id AND {IS_DUE}"
        f" AND r.run_id IN ({_marks(runs)})"
    )


def take_lost(runs: int) -> str:
    """Returns the UPDATE that takes over so many runs, as far as they are still lost.

    Parameters: server_id, the time, the run_ids.
    """
    return (
        f"{_TAKE} attempt = attempt + 1,"
        " losses = losses + CASE WHEN lease_owner = '' THEN 0 ELSE 1 END"
        f" WHERE {_IS_LOST} AND r.run_id IN ({_marks(runs)})"
    )


def taken_runs(runs: int) -> str:
    """Returns those of so many runs that a server executes now. Parameters: server_id, run_ids."""
    return (
        f"{_SELECT_RUN} WHERE r.status = 'RUNNING' AND r.lease_owner = ?"
        f" AND r.run_id IN ({_marks(runs)}) ORDER BY r.number"
    )


# --- events ---

INSERT_EVENT = insert("gw_events", "run_id, sequence, data")

EVENTS = """
    SELECT run_id, sequence, data FROM gw_events
    WHERE run_id = ? AND sequence > ? ORDER BY sequence LIMIT ?
"""

#: Parameters: run_id, the sequence, the limit, the most bytes.
SOME_EVENTS = f"""
    SELECT run_id, sequence, data FROM (
        SELECT run_id, sequence, data, ROW_NUMBER() OVER way AS place,
            SUM(LENGTH(data)) OVER way AS size
        FROM ({EVENTS}) AS page
        WINDOW way AS (ORDER BY sequence)
    ) AS measured
    WHERE place = 1 OR size <= ? ORDER BY sequence
"""

#: Parameters: the time, the limit, how many to skip.
UNTRIMMED_RUNS = f"""
    {_SELECT_RUN} WHERE NOT r.trimmed AND r.end_time < ?
    ORDER BY r.end_time, r.run_id LIMIT ? OFFSET ?
"""

REMOVE_EVENTS = "DELETE FROM gw_events WHERE run_id = ? AND sequence < ?"
NOTE_OLDEST = "UPDATE gw_runs SET oldest_sequence = ?, trimmed = ? WHERE run_id = ?"

RAISE_LAST_SEQUENCE = "UPDATE gw_runs SET last_sequence = ? WHERE run_id = ? AND last_sequence < ?"


# --- pauses ---

PAUSE_COLUMNS = (
    "pause_id, thread_id, run_id, kind, node, namespace, checkpoint_id, create_time, "
    "interrupt_id, task_id, status, resolved_by_run_id, resolve_time, "
    "value, response_schema, answer, assistant_id, breakpoints, tool_calls, expire_time, "
    "on_expiry, expiry_message, principal, answered_by, expired, review, task_input"
)

INSERT_PAUSE = insert("gw_pauses", PAUSE_COLUMNS)

RESUMED_PAUSES = f"""
    SELECT {PAUSE_COLUMNS} FROM gw_pauses
    WHERE thread_id = ? AND checkpoint_id = ? AND status = 'RESUMED' ORDER BY number
"""

PAUSES_OF_RUN = f"SELECT {PAUSE_COLUMNS} FROM gw_pauses WHERE run_id = ? ORDER BY number"

#: Parameters: the time, the limit, how many to skip.
EXPIRED_PAUSES = f"""
    SELECT {", ".join(f"p.{column}" for column in PAUSE_COLUMNS.split(", "))} FROM gw_pauses p
    WHERE p.status = 'OPEN' AND p.expire_time <= ? AND EXISTS (
        SELECT 1 FROM gw_threads t WHERE t.thread_id = p.thread_id AND t.status <> 'BUSY')
    ORDER BY p.expire_time, p.number LIMIT ? OFFSET ?
"""
# Counted in partial indexes, which hold nothing else.
BACKLOG = """
    SELECT (SELECT COUNT(*) FROM gw_runs WHERE status = 'PENDING'),
        (SELECT COUNT(*) FROM gw_pauses WHERE status = 'OPEN'),
        (SELECT MIN(create_time) FROM gw_pauses WHERE status = 'OPEN')
"""
NEXT_EXPIRY = "SELECT MIN(expire_time) FROM gw_pauses WHERE status = 'OPEN' AND expire_time > ?"
PAUSES_RESOLVED_BY = f"""
    SELECT {PAUSE_COLUMNS} FROM gw_pauses
    WHERE thread_id = ? AND resolved_by_run_id = ? ORDER BY number
"""

TAKE_BACK_RESUMED = """
    UPDATE gw_pauses SET status = 'SUPERSEDED'
    WHERE thread_id = ? AND resolved_by_run_id = ? AND status = 'RESUMED'
"""

RESOLVE_PAUSE = """
    UPDATE gw_pauses SET status = ?, resolve_time = ?, resolved_by_run_id = ?, answer = ?,
        principal = ?, answered_by = ?, expired = ?, review = ?
    WHERE pause_id = ? AND status = 'OPEN'
"""


def pauses_of_tasks(tasks: int) -> str:
    """Returns all pauses of so many tasks of a thread. Parameters: thread_id, the task_ids."""
    return (
        f"SELECT {PAUSE_COLUMNS} FROM gw_pauses"
        f" WHERE thread_id = ? AND task_id IN ({_marks(tasks)}) ORDER BY number"
    )


def open_pauses(threads: int) -> str:
    """Returns the open pauses of so many threads."""
    return (
        f"SELECT {PAUSE_COLUMNS} FROM gw_pauses"
        f" WHERE thread_id IN ({_marks(threads)}) AND status = 'OPEN' ORDER BY number"
    )


_PAUSE_LIST = ", ".join(f"p.{column}" for column in PAUSE_COLUMNS.split(", "))

PAUSE = f"SELECT {PAUSE_COLUMNS} FROM gw_pauses WHERE pause_id = ?"

#: Parameters: the thread_id, the key twice.
PAUSE_CALLED = f"""
    SELECT {PAUSE_COLUMNS} FROM gw_pauses
    WHERE thread_id = ? AND (pause_id = ? OR interrupt_id = ?) ORDER BY number DESC LIMIT 1
"""

#: Parameters: the thread_id, the run_id.
PAUSES_RESUMED_BY = f"""
    SELECT {PAUSE_COLUMNS} FROM gw_pauses
    WHERE thread_id = ? AND resolved_by_run_id = ? AND status = 'RESUMED' ORDER BY number
"""

LAST_RESOLVED_PAUSE = f"""
    SELECT {PAUSE_COLUMNS} FROM gw_pauses
    WHERE thread_id = ? AND status <> 'OPEN' ORDER BY resolve_time DESC, number DESC LIMIT 1
"""


def pauses_by_id(pauses: int) -> str:
    """Returns so many pauses."""
    return f"SELECT {PAUSE_COLUMNS} FROM gw_pauses WHERE pause_id IN ({_marks(pauses)})"


def list_pauses(
    which: PauseFilter, *, limit: int, after: PausePosition | None, ascending: bool
) -> tuple[str, list[object]]:
    """Returns a page of pauses, each with its number, by the time of their making."""
    order, beyond = ("ASC", ">") if ascending else ("DESC", "<")
    in_order = f"ORDER BY create_time {order}, number {order} LIMIT ?"
    selects: list[str] = []
    parameters: list[object] = []
    # One SELECT a status, as for threads. The conditions are those of the indexes, word for word.
    for status in dict.fromkeys(which.statuses or PauseStatus):
        conditions, values = _pause_conditions(which)
        if status is PauseStatus.OPEN:
            conditions.append("p.status = 'OPEN'")
        else:
            conditions.append("p.status <> 'OPEN' AND p.status = ?")
            values.append(status)
        if after is not None:
            conditions.append(f"(p.create_time, p.number) {beyond} (?, ?)")
            values += [after.create_time, after.number]
        selects.append(
            f"SELECT {_PAUSE_LIST}, p.number FROM gw_pauses p WHERE {' AND '.join(conditions)}"
            f" ORDER BY p.create_time {order}, p.number {order} LIMIT ?"
        )
        parameters += [*values, limit]
    if len(selects) == 1:
        return selects[0], parameters
    pages = " UNION ALL ".join(f"SELECT * FROM ({select}) AS page" for select in selects)
    return f"{pages} {in_order}", [*parameters, limit]


def _pause_conditions(which: PauseFilter) -> tuple[list[str], list[object]]:
    """Returns all conditions of a filter but that on the status, and their parameters."""
    conditions: list[str] = []
    parameters: list[object] = []
    for column, value in (
        ("thread_id", which.thread_id),
        ("assistant_id", which.assistant_id),
        ("node", which.node),
    ):
        if value:
            conditions.append(f"p.{column} = ?")
            parameters.append(value)
    if which.kinds:
        conditions.append(f"p.kind IN ({_marks(len(which.kinds))})")
        parameters += which.kinds
    if which.expires_before is not None:
        conditions.append("p.expire_time < ?")
        parameters.append(which.expires_before)
    for column, wanted in (
        ("breakpoints", {"breakpoint": {"label": which.label}} if which.label else None),
        ("tool_calls", {"name": which.tool_name} if which.tool_name else None),
    ):
        if wanted is not None:
            conditions.append(f"graphwire_any_contains(p.{column}, ?)")
            parameters.append(orjson.dumps(wanted).decode())
    if which.thread_metadata is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM gw_threads t WHERE t.thread_id = p.thread_id"
            " AND graphwire_contains(t.metadata, ?))"
        )
        parameters.append(which.thread_metadata)
    seen, values = _of_thread("p", which.access)
    return [*conditions, *seen], [*parameters, *values]


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
    conditions.append(f"t.thread_id IN ({_marks(len(thread_ids))})")
    select = f"SELECT thread_id FROM gw_threads t WHERE {' AND '.join(conditions)}"
    return select, [*parameters, *thread_ids]


_BELONGING = "SELECT t.thread_id, t.owner, t.metadata FROM gw_threads t"

THREAD_BELONGS = f"{_BELONGING} WHERE t.thread_id = ?"
RUN_BELONGS = f"{_BELONGING} JOIN gw_runs r ON r.thread_id = t.thread_id WHERE r.run_id = ?"
PAUSE_BELONGS = f"{_BELONGING} JOIN gw_pauses p ON p.thread_id = t.thread_id WHERE p.pause_id = ?"


# --- the log of changes ---


def insert_changes(changes: int) -> str:
    """Returns the INSERT of so many changes. Parameters: for each those of `Change`."""
    rows = ", ".join(["(graphwire_xid(), ?, ?, ?, ?)"] * changes)
    return f"INSERT INTO gw_changes (xid, time, kind, subject, belonged) VALUES {rows}"


# The plus keeps it from being taken for the way into the index.
_SETTLED = "+xid < graphwire_settled_xid()"

# Each part walks the index in order. Of a comparison of both columns SQLite uses the first alone,
# which is the same in all of its rows.
#: Parameters: xid, number and limit; xid and limit; the limit.
CHANGES = f"""
    SELECT * FROM (
        SELECT xid, number, time, kind, subject, belonged FROM gw_changes
        WHERE {_SETTLED} AND xid = ? AND number > ? ORDER BY number LIMIT ?
    ) AS page
    UNION ALL SELECT * FROM (
        SELECT xid, number, time, kind, subject, belonged FROM gw_changes
        WHERE {_SETTLED} AND xid > ? ORDER BY xid, number LIMIT ?
    ) AS page
    ORDER BY xid, number LIMIT ?
"""

LAST_CHANGE = f"""
    SELECT xid, number FROM gw_changes WHERE {_SETTLED} ORDER BY xid DESC, number DESC LIMIT 1
"""

#: Those that can be seen, but not be read yet.
CHANGES_AHEAD = "SELECT number FROM gw_changes WHERE xid >= graphwire_settled_xid()"

#: Two servers may have noted one each.
CHANGES_REMOVED = """
    SELECT xid, number FROM gw_changes_removed ORDER BY xid DESC, number DESC LIMIT 1
"""
FORGET_CHANGES_REMOVED = "DELETE FROM gw_changes_removed WHERE (xid, number) < (?, ?)"
NOTE_CHANGES_REMOVED = insert("gw_changes_removed", "xid, number")

#: Parameters: the limit, the time.
OLDEST_CHANGES = """
    SELECT xid, number FROM (
        SELECT xid, number, time FROM gw_changes ORDER BY number LIMIT ?
    ) AS oldest
    WHERE time < ? AND number < (SELECT MAX(number) FROM gw_changes)
"""


def remove_changes(changes: int) -> str:
    """Returns the DELETE of so many changes, by their numbers."""
    return f"DELETE FROM gw_changes WHERE number IN ({_marks(changes)})"


# --- breakpoints that skip the first tasks ---

BREAKPOINT_HITS = "SELECT breakpoint_id, task_id FROM gw_breakpoint_hits WHERE thread_id = ?"
INSERT_BREAKPOINT_HIT = (
    insert("gw_breakpoint_hits", "thread_id, breakpoint_id, task_id") + " ON CONFLICT DO NOTHING"
)


def forget_breakpoint_hits(kept: int) -> str:
    """Returns a DELETE. Parameters: thread_id; for each prefix to keep its length, and itself."""
    others = " AND SUBSTR(breakpoint_id, 1, ?) <> ?" * kept
    return f"DELETE FROM gw_breakpoint_hits WHERE thread_id = ?{others}"


# --- request ids ---

REQUEST_COLUMNS = "principal, method, request_id, fingerprint, subject, create_time"

INSERT_REQUEST = insert("gw_requests", REQUEST_COLUMNS)

REQUEST = f"""
    SELECT {REQUEST_COLUMNS} FROM gw_requests
    WHERE principal = ? AND method = ? AND request_id = ?
"""

FORGET_REQUESTS = "DELETE FROM gw_requests WHERE create_time < ?"
