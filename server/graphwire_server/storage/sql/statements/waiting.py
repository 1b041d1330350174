"""Statements for runs that wait for more than their turn: for their time, or for their thread."""

from __future__ import annotations

from graphwire_server.storage.sql.statements.leases import IS_DUE

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
