-- Breakpoints with conditions and an expiry, the inbox of pauses, and what is asked of runs
-- while they execute.

-- Breakpoints for all runs of the thread, a JSON array.
ALTER TABLE gw_threads ADD COLUMN breakpoints TEXT NOT NULL DEFAULT '[]';

-- When the state last changed; NULL: nothing has run yet.
ALTER TABLE gw_threads ADD COLUMN state_update_time BIGINT;

-- Those given to the run, inherited, or added while it executes: a JSON array.
ALTER TABLE gw_run_bodies ADD COLUMN breakpoints TEXT NOT NULL DEFAULT '[]';

-- Somebody has asked to pause it.
ALTER TABLE gw_runs ADD COLUMN pause_requested BOOLEAN NOT NULL DEFAULT FALSE;

-- Rises with each change of what is asked of it; and which change is in force where it executes.
ALTER TABLE gw_runs ADD COLUMN steering BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gw_runs ADD COLUMN steering_confirmed BIGINT NOT NULL DEFAULT 0;

-- The tasks that a breakpoint has let pass, since it skips the first ones.
CREATE TABLE gw_breakpoint_hits (
    thread_id     TEXT NOT NULL REFERENCES gw_threads (thread_id) ON DELETE CASCADE,
    breakpoint_id TEXT NOT NULL,
    task_id       TEXT NOT NULL,
    PRIMARY KEY (thread_id, breakpoint_id, task_id)
);

ALTER TABLE gw_pauses ADD COLUMN assistant_id TEXT NOT NULL DEFAULT '';
ALTER TABLE gw_pauses ADD COLUMN breakpoints TEXT NOT NULL DEFAULT '[]'; -- a JSON array
ALTER TABLE gw_pauses ADD COLUMN tool_calls TEXT NOT NULL DEFAULT '[]';  -- a JSON array
ALTER TABLE gw_pauses ADD COLUMN expire_time BIGINT;                     -- NULL: never
ALTER TABLE gw_pauses ADD COLUMN on_expiry TEXT NOT NULL DEFAULT '';
ALTER TABLE gw_pauses ADD COLUMN expiry_message TEXT NOT NULL DEFAULT '';
ALTER TABLE gw_pauses ADD COLUMN principal TEXT NOT NULL DEFAULT '';
ALTER TABLE gw_pauses ADD COLUMN answered_by TEXT NOT NULL DEFAULT '';
ALTER TABLE gw_pauses ADD COLUMN expired BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE gw_pauses ADD COLUMN review TEXT;                            -- a JSON array

CREATE INDEX gw_pauses_expiring ON gw_pauses (expire_time)
    WHERE status = 'OPEN' AND expire_time IS NOT NULL;
