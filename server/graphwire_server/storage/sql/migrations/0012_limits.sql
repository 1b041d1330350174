-- A queue that is fair between those who start runs.

-- Who has runs in the queue is a walk from one principal to the next; so are the runs of each.
CREATE INDEX gw_runs_queue_by_principal ON gw_runs (principal, number) WHERE status = 'PENDING';

-- When a principal was last served from a queue in which others waited too.
CREATE TABLE gw_turns (
    principal TEXT   NOT NULL PRIMARY KEY,
    served    BIGINT NOT NULL
);

CREATE INDEX gw_turns_by_time ON gw_turns (served);
