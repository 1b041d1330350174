-- Webhooks: what is to be sent since a run has ended. It is added with the run's end, and refers
-- to nothing: what was deleted meanwhile is sent all the same.

CREATE TABLE gw_webhooks (
    number       INTEGER PRIMARY KEY,
    webhook_id   TEXT    NOT NULL,
    run_id       TEXT    NOT NULL,
    thread_id    TEXT    NOT NULL,
    kind         TEXT    NOT NULL, -- what happened: run.succeeded, ...
    url          TEXT    NOT NULL,
    host         TEXT    NOT NULL, -- of the url
    create_time  BIGINT  NOT NULL,
    due_time     BIGINT  NOT NULL, -- not to be sent before; of one that is being sent, when others may
    status       TEXT    NOT NULL, -- PENDING, DELIVERED, FAILED
    attempt      BIGINT  NOT NULL, -- how often it was tried; who made the last one records its outcome
    attempt_time BIGINT,
    end_time     BIGINT,
    status_code  BIGINT  NOT NULL, -- of the last answer; 0: none
    error        TEXT    NOT NULL,
    body         TEXT    NOT NULL  -- the JSON; empty once it has ended
);

CREATE UNIQUE INDEX gw_webhooks_by_id ON gw_webhooks (webhook_id);
CREATE UNIQUE INDEX gw_webhooks_by_run ON gw_webhooks (run_id);
CREATE INDEX gw_webhooks_due ON gw_webhooks (due_time, number) WHERE status = 'PENDING';
CREATE INDEX gw_webhooks_unsent ON gw_webhooks (create_time) WHERE status = 'PENDING';
CREATE INDEX gw_webhooks_ended ON gw_webhooks (end_time) WHERE status <> 'PENDING';
