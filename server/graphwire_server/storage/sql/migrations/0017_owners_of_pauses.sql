-- The inbox of one owner is found without looking through everybody's.

-- That of the thread, which never changes.
ALTER TABLE gw_pauses ADD COLUMN owner TEXT NOT NULL DEFAULT '';

UPDATE gw_pauses SET owner = t.owner FROM gw_threads t
WHERE t.thread_id = gw_pauses.thread_id AND t.owner <> '';

-- Where nobody has to say who he is, they are empty.
CREATE INDEX gw_pauses_inbox_by_owner ON gw_pauses (owner, create_time, number)
    WHERE status = 'OPEN' AND owner <> '';
CREATE INDEX gw_pauses_resolved_by_owner ON gw_pauses (owner, status, create_time, number)
    WHERE status <> 'OPEN' AND owner <> '';
