-- How long things are kept. Each sweep walks an index that holds what it may find, and no more.

-- How long the thread is kept after its last change, in microseconds; 0: for ever; NULL: as
-- long as the server says.
ALTER TABLE gw_threads ADD COLUMN ttl BIGINT;

-- Whether the thread may have checkpoints that are no part of where it stands.
ALTER TABLE gw_threads ADD COLUMN unpruned BOOLEAN NOT NULL DEFAULT TRUE;

-- A run's events below this sequence were removed.
ALTER TABLE gw_runs ADD COLUMN oldest_sequence BIGINT NOT NULL DEFAULT 1;

-- Whether nothing is left of its events but what is always kept.
ALTER TABLE gw_runs ADD COLUMN trimmed BOOLEAN NOT NULL DEFAULT FALSE;

DROP INDEX gw_threads_stateless;

CREATE INDEX gw_threads_stateless ON gw_threads (update_time, thread_id)
    WHERE stateless AND ttl IS NULL AND status <> 'BUSY' AND status <> 'INTERRUPTED';
CREATE INDEX gw_threads_unused ON gw_threads (update_time, thread_id)
    WHERE NOT stateless AND ttl IS NULL AND status <> 'BUSY' AND status <> 'INTERRUPTED';
CREATE INDEX gw_threads_with_ttl ON gw_threads ((update_time + ttl), thread_id)
    WHERE ttl > 0 AND status <> 'BUSY' AND status <> 'INTERRUPTED';
CREATE INDEX gw_threads_unpruned ON gw_threads (thread_id)
    WHERE unpruned AND status <> 'BUSY';

CREATE INDEX gw_runs_untrimmed ON gw_runs (end_time, run_id) WHERE NOT trimmed;
