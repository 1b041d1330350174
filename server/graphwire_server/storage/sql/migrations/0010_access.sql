-- Whose the threads are, and who started the runs.

-- Empty: nobody's, made without authentication.
ALTER TABLE gw_threads ADD COLUMN owner TEXT NOT NULL DEFAULT '';
-- Empty: the server itself.
ALTER TABLE gw_runs ADD COLUMN principal TEXT NOT NULL DEFAULT '';

-- Where nobody has to say who he is, it is empty.
CREATE INDEX gw_threads_by_owner ON gw_threads (owner, create_time, thread_id)
    WHERE NOT stateless AND owner <> '';

-- Of a thread that was deleted: whose it was; a JSON array of its owner and its metadata.
ALTER TABLE gw_changes ADD COLUMN belonged TEXT;
