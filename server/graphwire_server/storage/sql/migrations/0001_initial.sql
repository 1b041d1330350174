-- Servers, threads, runs, events, pauses and request ids. JSON is text; times are
-- microseconds since 1970, UTC.

-- One row for each server that is alive, or was until lately.
CREATE TABLE gw_servers (
    server_id   TEXT   NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
);

CREATE TABLE gw_threads (
    thread_id     TEXT    NOT NULL PRIMARY KEY,
    status        TEXT    NOT NULL,
    assistant_id  TEXT    NOT NULL,
    checkpoint_id TEXT    NOT NULL,
    next_nodes    TEXT    NOT NULL, -- a JSON array of names
    stateless     BOOLEAN NOT NULL,
    create_time   BIGINT  NOT NULL,
    update_time   BIGINT  NOT NULL,
    error         TEXT,             -- a JSON object, see rows.py
    metadata      TEXT    NOT NULL  -- a JSON object
);

-- Every list of threads is a walk along one of these, newest first.
CREATE INDEX gw_threads_by_time ON gw_threads (create_time, thread_id)
    WHERE NOT stateless;
CREATE INDEX gw_threads_by_status ON gw_threads (status, create_time, thread_id)
    WHERE NOT stateless;
CREATE INDEX gw_threads_by_assistant ON gw_threads (assistant_id, create_time, thread_id)
    WHERE NOT stateless;
CREATE INDEX gw_threads_by_both ON gw_threads (assistant_id, status, create_time, thread_id)
    WHERE NOT stateless;

CREATE INDEX gw_threads_stateless ON gw_threads (update_time) WHERE stateless;

-- A thread's values may be large: apart from its row, lists do not read them and a
-- change of status does not write them again.
CREATE TABLE gw_thread_states (
    thread_id TEXT NOT NULL PRIMARY KEY REFERENCES gw_threads (thread_id) ON DELETE CASCADE,
    state     TEXT NOT NULL
);

CREATE TABLE gw_runs (
    number            INTEGER PRIMARY KEY, -- rises in the order of acceptance
    run_id            TEXT    NOT NULL UNIQUE,
    thread_id         TEXT    NOT NULL REFERENCES gw_threads (thread_id) ON DELETE CASCADE,
    assistant_id      TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    create_time       BIGINT  NOT NULL,
    due_time          BIGINT  NOT NULL,
    start_time        BIGINT,
    end_time          BIGINT,
    resumed_run_id    TEXT    NOT NULL,
    resumed_by_run_id TEXT    NOT NULL,
    last_sequence     BIGINT  NOT NULL,
    cancel_requested  BOOLEAN NOT NULL,
    abandon_requested BOOLEAN NOT NULL DEFAULT FALSE, -- by then: not to wait for its nodes
    checkpoint_id     TEXT    NOT NULL,
    lease_owner       TEXT    NOT NULL, -- the server that executes it; empty: none
    lease_epoch       BIGINT  NOT NULL, -- rises each time it changes hands
    attempt           BIGINT  NOT NULL,
    losses            BIGINT  NOT NULL, -- how often a server was lost that executed it
    absorbed          BOOLEAN NOT NULL,
    error             TEXT,             -- a JSON object, see rows.py
    metadata          TEXT    NOT NULL  -- a JSON object
);

CREATE INDEX gw_runs_by_time ON gw_runs (thread_id, create_time, run_id);
CREATE INDEX gw_runs_by_number ON gw_runs (thread_id, number);
CREATE UNIQUE INDEX gw_runs_running ON gw_runs (thread_id) WHERE status = 'RUNNING';
CREATE INDEX gw_runs_pending ON gw_runs (thread_id, number) WHERE status = 'PENDING';
CREATE INDEX gw_runs_queue ON gw_runs (number) WHERE status = 'PENDING';
CREATE INDEX gw_runs_under_way ON gw_runs (number) WHERE status = 'RUNNING';
CREATE INDEX gw_runs_due ON gw_runs (due_time) WHERE status = 'PENDING';

-- What may be large is apart from the row that every event changes.
CREATE TABLE gw_run_bodies (
    run_id TEXT NOT NULL PRIMARY KEY REFERENCES gw_runs (run_id) ON DELETE CASCADE,
    spec   TEXT NOT NULL
);

CREATE TABLE gw_events (
    run_id   TEXT   NOT NULL REFERENCES gw_runs (run_id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    data     BLOB   NOT NULL,
    PRIMARY KEY (run_id, sequence)
);

-- The run may be deleted and its pauses stay, so run_id refers to nothing.
CREATE TABLE gw_pauses (
    number             INTEGER PRIMARY KEY, -- rises in the order of making
    pause_id           TEXT   NOT NULL UNIQUE,
    thread_id          TEXT   NOT NULL REFERENCES gw_threads (thread_id) ON DELETE CASCADE,
    run_id             TEXT   NOT NULL,
    kind               TEXT   NOT NULL,
    node               TEXT   NOT NULL,
    namespace          TEXT   NOT NULL, -- a JSON array of names
    checkpoint_id      TEXT   NOT NULL,
    create_time        BIGINT NOT NULL,
    interrupt_id       TEXT   NOT NULL,
    task_id            TEXT   NOT NULL,
    status             TEXT   NOT NULL,
    resolved_by_run_id TEXT   NOT NULL,
    resolve_time       BIGINT,
    value              TEXT,
    response_schema    TEXT,
    answer             TEXT
);

CREATE INDEX gw_pauses_by_task ON gw_pauses (thread_id, task_id);
CREATE INDEX gw_pauses_by_run ON gw_pauses (run_id);
CREATE INDEX gw_pauses_open ON gw_pauses (thread_id) WHERE status = 'OPEN';

CREATE TABLE gw_requests (
    principal   TEXT   NOT NULL,
    method      TEXT   NOT NULL,
    request_id  TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    subject     TEXT   NOT NULL, -- the thread or run that came of it
    create_time BIGINT NOT NULL,
    PRIMARY KEY (principal, method, request_id)
);

CREATE INDEX gw_requests_by_time ON gw_requests (create_time);
