-- LangGraph's checkpoints. No thread is referred to: nodes may keep state of their own
-- under thread ids that are not ours. What the bodies hold is not the database's business.

CREATE TABLE gw_checkpoints (
    number               INTEGER PRIMARY KEY, -- rises in the order of writing
    thread_id            TEXT    NOT NULL,
    namespace            TEXT    NOT NULL, -- empty: the root graph
    checkpoint_id        TEXT    NOT NULL,
    parent_checkpoint_id TEXT    NOT NULL, -- empty: none
    run_id               TEXT    NOT NULL, -- empty: none
    metadata             TEXT    NOT NULL, -- a JSON object
    body                 BLOB    NOT NULL,
    history              BOOLEAN NOT NULL, -- pruned, but for what was written at it
    UNIQUE (thread_id, checkpoint_id, namespace)
);

-- The head of a namespace is at its end.
CREATE INDEX gw_checkpoints_by_number ON gw_checkpoints (thread_id, namespace, number)
    WHERE NOT history;
CREATE INDEX gw_checkpoints_by_run ON gw_checkpoints (run_id) WHERE run_id <> '';

-- Each value of a channel once, however many checkpoints hold it.
CREATE TABLE gw_channel_values (
    thread_id    TEXT NOT NULL,
    namespace    TEXT NOT NULL,
    channel      TEXT NOT NULL,
    version      TEXT NOT NULL,
    base_version TEXT NOT NULL, -- the body is a delta against this one; empty: it is whole
    body         BLOB NOT NULL,
    PRIMARY KEY (thread_id, namespace, channel, version)
);

CREATE TABLE gw_checkpoint_writes (
    number        INTEGER PRIMARY KEY, -- rises in the order of writing
    thread_id     TEXT NOT NULL,
    namespace     TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    task_id       TEXT NOT NULL,
    task_path     TEXT NOT NULL,
    body          BLOB NOT NULL
);

CREATE INDEX gw_checkpoint_writes_by_checkpoint
    ON gw_checkpoint_writes (thread_id, namespace, checkpoint_id);
