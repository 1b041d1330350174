"""The statements on threads that are copied, measured, or gone on with without their runs."""

from __future__ import annotations

from graphwire_server.storage.sql.statements import PAUSE_COLUMNS, insert

# --- what the next run inherits ---

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

# --- answers ---

_RUN_PAUSED = """EXISTS (
    SELECT 1 FROM gw_runs r WHERE r.run_id = p.resolved_by_run_id AND r.status = 'INTERRUPTED')"""

#: Parameters: thread_id, checkpoint_id.
STANDING_ANSWERS = f"""
    SELECT interrupt_id, answer FROM gw_pauses p
    WHERE thread_id = ? AND checkpoint_id = ? AND status = 'RESUMED' AND kind = 'INTERRUPT'
        AND answer IS NOT NULL AND (answer_stands OR {_RUN_PAUSED})
    ORDER BY number
"""

#: Parameters: the run_id, twice.
LET_ANSWERS_STAND = """
    UPDATE gw_pauses SET answer_stands = TRUE
    WHERE thread_id = (SELECT thread_id FROM gw_runs WHERE run_id = ? AND status = 'INTERRUPTED')
        AND resolved_by_run_id = ?
"""

# --- copies ---

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

_REST_OF_PAUSE = PAUSE_COLUMNS.removeprefix("pause_id, thread_id, ")

#: Parameters: the new pause_id, the new thread_id, the pause_id.
COPY_PAUSE = f"""
    INSERT INTO gw_pauses (pause_id, thread_id, {_REST_OF_PAUSE}, answer_stands)
    SELECT CAST(? AS TEXT), CAST(? AS TEXT), {_REST_OF_PAUSE}, (answer_stands OR {_RUN_PAUSED})
    FROM gw_pauses p WHERE pause_id = ?
"""

#: Parameters: the thread_id, the new thread_id.
COPY_UNPRUNED = """
    UPDATE gw_threads SET unpruned = (SELECT s.unpruned FROM gw_threads s WHERE s.thread_id = ?)
    WHERE thread_id = ?
"""
# No run has made the checkpoints of a copy: what is done to a run's is not done to them.
FORGET_MAKERS = "UPDATE gw_checkpoints SET run_id = '' WHERE thread_id = ? AND run_id <> ''"

# --- how much there is ---


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
