-- A thread is of the assistant of what runs or is paused on it, and not of what is queued.

UPDATE gw_threads SET assistant_id = p.assistant_id FROM gw_pauses p
WHERE gw_threads.status = 'INTERRUPTED' AND p.thread_id = gw_threads.thread_id
    AND p.status = 'OPEN' AND p.assistant_id <> '' AND p.assistant_id <> gw_threads.assistant_id;

-- No run of a copy has made the pauses that it was made with.
UPDATE gw_pauses SET run_id = '' FROM gw_runs r
WHERE r.run_id = gw_pauses.run_id AND r.thread_id <> gw_pauses.thread_id;
