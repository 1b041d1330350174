"""The statements on pauses."""

from __future__ import annotations

from dataclasses import replace

import orjson

from graphwire_server.storage.records import PauseFilter, PausePosition, PauseStatus
from graphwire_server.storage.sql.statements.parts import marks, of_thread, owned

PAUSE_COLUMNS = (
    "pause_id, thread_id, run_id, kind, node, namespace, checkpoint_id, create_time, "
    "interrupt_id, task_id, status, resolved_by_run_id, resolve_time, "
    "value, response_schema, answer, assistant_id, breakpoints, tool_calls, expire_time, "
    "on_expiry, expiry_message, principal, answered_by, expired, review, task_input"
)

#: What a pause has of its thread. Parameter: the thread_id.
OWNER = "(SELECT owner FROM gw_threads WHERE thread_id = ?)"
#: Parameters: a row of PAUSE_COLUMNS, the thread_id.
INSERT_PAUSE = f"""
    INSERT INTO gw_pauses ({PAUSE_COLUMNS}, owner)
    VALUES ({marks(PAUSE_COLUMNS.count(",") + 1)}, {OWNER})
"""

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
        f" WHERE thread_id = ? AND task_id IN ({marks(tasks)}) ORDER BY number"
    )


def open_pauses(threads: int) -> str:
    """Returns the open pauses of so many threads."""
    return (
        f"SELECT {PAUSE_COLUMNS} FROM gw_pauses"
        f" WHERE thread_id IN ({marks(threads)}) AND status = 'OPEN' ORDER BY number"
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
    return f"SELECT {PAUSE_COLUMNS} FROM gw_pauses WHERE pause_id IN ({marks(pauses)})"


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
        conditions.append(f"p.kind IN ({marks(len(which.kinds))})")
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
    whose, owners = owned("p", which.access)
    seen, values = of_thread("p", replace(which.access, owner=None))
    return [*conditions, *whose, *seen], [*parameters, *owners, *values]


RUN_PAUSED = """EXISTS (
    SELECT 1 FROM gw_runs r WHERE r.run_id = p.resolved_by_run_id AND r.status = 'INTERRUPTED')"""

#: Parameters: thread_id, checkpoint_id.
STANDING_ANSWERS = f"""
    SELECT interrupt_id, answer FROM gw_pauses p
    WHERE thread_id = ? AND checkpoint_id = ? AND status = 'RESUMED' AND kind = 'INTERRUPT'
        AND answer IS NOT NULL AND (answer_stands OR {RUN_PAUSED})
    ORDER BY number
"""

#: Parameters: the run_id, twice.
LET_ANSWERS_STAND = """
    UPDATE gw_pauses SET answer_stands = TRUE
    WHERE thread_id = (SELECT thread_id FROM gw_runs WHERE run_id = ? AND status = 'INTERRUPTED')
        AND resolved_by_run_id = ?
"""
