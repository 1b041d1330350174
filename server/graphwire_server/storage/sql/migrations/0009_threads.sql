-- Copies of threads, and lists of threads in any order.

-- What the next run of a thread inherits, where the run is not there of which it does: it was
-- deleted, or is one of the thread that this one is a copy of.
CREATE TABLE gw_thread_inherits (
    thread_id    TEXT   NOT NULL PRIMARY KEY REFERENCES gw_threads (thread_id) ON DELETE CASCADE,
    start_time   BIGINT NOT NULL, -- when that run began: one that began later counts instead
    spec         TEXT   NOT NULL, -- how it was asked to run
    breakpoints  TEXT   NOT NULL, -- a JSON array
    assistant_id TEXT   NOT NULL  -- its assistant
);

-- Whether the answer stands, whatever became of the run that it was given to: it went on to the
-- next pause, and is not there any more.
ALTER TABLE gw_pauses ADD COLUMN answer_stands BOOLEAN NOT NULL DEFAULT FALSE;

-- Its condition is one that the sweeps do not have, so that no database takes it for theirs.
CREATE INDEX gw_threads_by_update ON gw_threads (update_time, thread_id) WHERE stateless = FALSE;
CREATE INDEX gw_threads_by_state_update ON gw_threads (state_update_time, thread_id)
    WHERE NOT stateless;
CREATE INDEX gw_threads_by_id ON gw_threads (thread_id) WHERE NOT stateless;
