-- Runs that can't begin are not in the way of those that can.

-- What a PENDING run waits for before it is looked at: TIME, that it is due; THREAD, that its
-- thread is not INTERRUPTED any more; empty: nothing but its turn. The latter two change with the
-- thread's status, under the lock of the thread's row.
ALTER TABLE gw_runs ADD COLUMN waits_for TEXT NOT NULL DEFAULT '';

-- Which of those that are here already wait for more than their turn is found out by a claim.
UPDATE gw_runs SET waits_for = 'TIME' WHERE status = 'PENDING';

CREATE INDEX gw_runs_ready ON gw_runs (number) WHERE status = 'PENDING' AND waits_for = '';
CREATE INDEX gw_runs_ready_by_principal ON gw_runs (principal, number)
    WHERE status = 'PENDING' AND waits_for = '';
CREATE INDEX gw_runs_delayed ON gw_runs (due_time)
    WHERE status = 'PENDING' AND waits_for = 'TIME';

-- Whether the thread has runs that wait for THREAD.
ALTER TABLE gw_threads ADD COLUMN holds_back BOOLEAN NOT NULL DEFAULT FALSE;
