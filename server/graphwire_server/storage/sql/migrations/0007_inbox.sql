-- The inbox of pauses, the log of what changes on threads, and the order of a thread's runs.

-- Of those made by earlier versions.
UPDATE gw_pauses SET assistant_id = COALESCE(
    (SELECT r.assistant_id FROM gw_runs r WHERE r.run_id = gw_pauses.run_id),
    (SELECT t.assistant_id FROM gw_threads t WHERE t.thread_id = gw_pauses.thread_id), '')
WHERE assistant_id = '';

-- Every list of pauses is a walk along one of these. The inbox of what waits is small, however
-- much was answered.
CREATE INDEX gw_pauses_inbox ON gw_pauses (create_time, number)
    WHERE status = 'OPEN';
CREATE INDEX gw_pauses_inbox_by_assistant ON gw_pauses (assistant_id, create_time, number)
    WHERE status = 'OPEN';
CREATE INDEX gw_pauses_resolved ON gw_pauses (status, create_time, number)
    WHERE status <> 'OPEN';

-- What has happened to pauses and runs. Readers go by (xid, number), and only as far as every
-- transaction has ended that could still add something before that.
CREATE TABLE gw_changes (
    number  INTEGER PRIMARY KEY,
    xid     BIGINT NOT NULL, -- graphwire_xid() of the transaction
    time    BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    subject TEXT   NOT NULL  -- the pause or run; it may be deleted meanwhile
);

CREATE INDEX gw_changes_in_order ON gw_changes (xid, number);

-- The last change that was removed, as the log is kept for a while only; no row: none was.
CREATE TABLE gw_changes_removed (
    xid    BIGINT NOT NULL,
    number BIGINT NOT NULL
);

-- A run's place in its thread: 1 for the one that began first, to execute or, without that, to
-- have ended; NULL before.
ALTER TABLE gw_runs ADD COLUMN place BIGINT;

UPDATE gw_runs SET place = ranked.place
FROM (
    SELECT number, ROW_NUMBER() OVER (
        PARTITION BY thread_id ORDER BY COALESCE(start_time, end_time), number) AS place
    FROM gw_runs WHERE status <> 'PENDING'
) AS ranked
WHERE ranked.number = gw_runs.number;

CREATE UNIQUE INDEX gw_runs_by_place ON gw_runs (thread_id, place) WHERE place IS NOT NULL;

-- The highest place of a run of the thread that was deleted: no place is given twice.
ALTER TABLE gw_threads ADD COLUMN removed_place BIGINT NOT NULL DEFAULT 0;
