"""The statements on the events of runs."""

from __future__ import annotations

from graphwire_server.storage.sql.statements.parts import insert
from graphwire_server.storage.sql.statements.runs import SELECT_RUN

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
    {SELECT_RUN} WHERE NOT r.trimmed AND r.end_time < ?
    ORDER BY r.end_time, r.run_id LIMIT ? OFFSET ?
"""

REMOVE_EVENTS = "DELETE FROM gw_events WHERE run_id = ? AND sequence < ?"
NOTE_OLDEST = "UPDATE gw_runs SET oldest_sequence = ?, trimmed = ? WHERE run_id = ?"

RAISE_LAST_SEQUENCE = "UPDATE gw_runs SET last_sequence = ? WHERE run_id = ? AND last_sequence < ?"
