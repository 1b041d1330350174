"""The statements that copy threads."""

from __future__ import annotations

from graphwire_server.storage.sql.statements.pauses import OWNER, PAUSE_COLUMNS, RUN_PAUSED

COPY_STATE = """
    INSERT INTO gw_thread_states (thread_id, state)
    SELECT CAST(? AS TEXT), state FROM gw_thread_states WHERE thread_id = ?
"""

COPY_HITS = """
    INSERT INTO gw_breakpoint_hits (thread_id, breakpoint_id, task_id)
    SELECT CAST(? AS TEXT), breakpoint_id, task_id FROM gw_breakpoint_hits WHERE thread_id = ?
"""

RESOLVED_PAUSES = """
    SELECT pause_id FROM gw_pauses WHERE thread_id = ? AND status <> 'OPEN' ORDER BY number
"""

_REST_OF_PAUSE = PAUSE_COLUMNS.removeprefix("pause_id, thread_id, run_id, ")

#: Parameters: the new pause_id, the new thread_id twice, the pause_id.
COPY_PAUSE = f"""
    INSERT INTO gw_pauses (pause_id, thread_id, owner, run_id, {_REST_OF_PAUSE}, answer_stands)
    SELECT CAST(? AS TEXT), CAST(? AS TEXT), {OWNER}, '',
        {_REST_OF_PAUSE}, (answer_stands OR {RUN_PAUSED})
    FROM gw_pauses p WHERE pause_id = ?
"""

#: Parameters: the thread_id, the new thread_id.
COPY_UNPRUNED = """
    UPDATE gw_threads SET unpruned = (SELECT s.unpruned FROM gw_threads s WHERE s.thread_id = ?)
    WHERE thread_id = ?
"""
# No run has made the checkpoints of a copy: what is done to a run's is not done to them.
FORGET_MAKERS = "UPDATE gw_checkpoints SET run_id = '' WHERE thread_id = ? AND run_id <> ''"
