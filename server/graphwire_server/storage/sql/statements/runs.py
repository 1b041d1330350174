"""The statements on runs."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire_server.storage.access import Access
from graphwire_server.storage.records import Position, RunStatus
from graphwire_server.storage.sql.statements.parts import insert, marks, of_thread

RUN_COLUMNS = (
    "run_id, thread_id, assistant_id, status, create_time, due_time, start_time, end_time, "
    "resumed_run_id, resumed_by_run_id, last_sequence, cancel_requested, checkpoint_id, "
    "lease_owner, lease_epoch, attempt, losses, absorbed, error, metadata, oldest_sequence, "
    "pause_requested, steering, rolled_back, discards, principal"
)
BODY_COLUMNS = "spec, breakpoints"


def next_place(thread_id: str) -> str:
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
    VALUES ({marks(RUN_COLUMNS.count(",") + 1)}, CASE
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
    f" VALUES ({marks(RUN_COLUMNS.count(',') + 1)}, {next_place('?')})"
)
INSERT_RUN_BODY = insert("gw_run_bodies", f"run_id, {BODY_COLUMNS}")

_RUN_LIST = ", ".join(f"r.{column}" for column in RUN_COLUMNS.split(", "))
_RUNS = "gw_runs r JOIN gw_run_bodies b ON b.run_id = r.run_id"
_RUN_AND_BODY = f"{_RUN_LIST}, b.spec, b.breakpoints"
SELECT_RUN = f"SELECT {_RUN_AND_BODY} FROM {_RUNS}"

RUN = f"{SELECT_RUN} WHERE r.run_id = ?"


def runs_named(runs: int) -> str:
    """Returns the query for so many runs."""
    return f"{SELECT_RUN} WHERE r.run_id IN ({marks(runs)})"


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
    {SELECT_RUN} WHERE r.thread_id = ? AND r.run_id <> ?
        AND r.start_time IS NOT NULL AND NOT r.rolled_back
        AND (r.absorbed OR r.status NOT IN ('FAILED', 'CANCELLED', 'TIMED_OUT'))
    ORDER BY r.start_time DESC, r.number DESC LIMIT 1
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
    {SELECT_RUN} WHERE r.status = 'RUNNING' AND r.lease_owner = ?
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
    seen, parameters = of_thread("r", access)
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
        conditions.append(f"r.status IN ({marks(len(statuses))})")
        parameters += statuses
    if after is not None:
        conditions.append("(r.create_time, r.run_id) < (?, ?)")
        parameters += [after.create_time, after.key]
    sql = (
        f"{SELECT_RUN} WHERE {' AND '.join(conditions)}"
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
    place = f", place = {next_place('gw_runs.thread_id')}" if begins else ""
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

RUN_AT = f"{SELECT_RUN} WHERE r.thread_id = ? AND r.place = ?"

#: Parameters: the thread_id, twice.
LAST_PLACE = f"SELECT {next_place('?')} - 1"

#: Parameters: the run_id.
NOTE_REMOVED_PLACE = """
    UPDATE gw_threads SET removed_place = r.place
    FROM gw_runs r
    WHERE r.run_id = ? AND gw_threads.thread_id = r.thread_id
        AND r.place > gw_threads.removed_place
"""


def runs_by_id(runs: int) -> str:
    """Returns so many runs."""
    return f"{SELECT_RUN} WHERE r.run_id IN ({marks(runs)})"
