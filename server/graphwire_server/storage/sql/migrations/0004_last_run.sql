-- The run of a thread that began last: not always the one that was accepted last.
CREATE INDEX gw_runs_by_start ON gw_runs (thread_id, start_time, number)
    WHERE start_time IS NOT NULL;
