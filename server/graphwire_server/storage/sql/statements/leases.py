"""The statements on servers, and on runs that they execute or are to execute."""

from __future__ import annotations

from graphwire_server.storage.sql.statements.parts import insert, marks
from graphwire_server.storage.sql.statements.runs import SELECT_RUN, next_place

NOW = "SELECT graphwire_now()"

NEXT_DUE_TIME = "SELECT MIN(due_time) FROM gw_runs WHERE status = 'PENDING' AND due_time > ?"

CANCELLED_RUNS = """
    SELECT run_id, abandon_requested FROM gw_runs
    WHERE status = 'RUNNING' AND cancel_requested AND lease_owner = ? ORDER BY number
"""

HELD_RUNS = """
    SELECT run_id, lease_epoch FROM gw_runs
    WHERE status = 'RUNNING' AND lease_owner = ? ORDER BY number
"""

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

FORGET_LOSSES = "UPDATE gw_runs SET losses = 0 WHERE run_id = ? AND losses > 0"

HAND_BACK = """
    UPDATE gw_runs SET lease_owner = '', losses = losses + ?
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

#: With whether each was handed back.
LOST_RUNS = (
    f"SELECT r.run_id, r.lease_owner = '' FROM gw_runs r WHERE {_IS_LOST} ORDER BY r.number LIMIT ?"
)

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
        f" place = {next_place('r.thread_id')}"
        f" FROM gw_threads t WHERE t.thread_id = r.thread_id AND {IS_DUE}"
        f" AND r.run_id IN ({marks(runs)})"
    )


def take_threads(runs: int) -> str:
    """Returns the UPDATE that gives so many runs their threads, which are their assistants' then.

    Parameters: the run_ids.
    """
    return (
        "UPDATE gw_threads SET assistant_id = r.assistant_id FROM gw_runs r"
        f" WHERE r.run_id IN ({marks(runs)}) AND gw_threads.thread_id = r.thread_id"
        " AND gw_threads.assistant_id <> r.assistant_id"
    )


def take_lost(runs: int) -> str:
    """Returns the UPDATE that takes over so many runs, as far as they are still lost.

    Parameters: server_id, the time, the run_ids.
    """
    return (
        f"{_TAKE} attempt = attempt + 1,"
        " losses = losses + CASE WHEN lease_owner = '' THEN 0 ELSE 1 END"
        f" WHERE {_IS_LOST} AND r.run_id IN ({marks(runs)})"
    )


def taken_runs(runs: int) -> str:
    """Returns those of so many runs that a server executes now. Parameters: server_id, run_ids."""
    return (
        f"{SELECT_RUN} WHERE r.status = 'RUNNING' AND r.lease_owner = ?"
        f" AND r.run_id IN ({marks(runs)}) ORDER BY r.number"
    )
