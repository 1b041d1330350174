-- Assistants, each version of which is kept.

CREATE TABLE gw_assistants (
    assistant_id TEXT    NOT NULL PRIMARY KEY,
    version      BIGINT  NOT NULL, -- the one that new runs get
    newest       BIGINT  NOT NULL, -- the last that was made
    built_in     BOOLEAN NOT NULL, -- a graph of langgraph.json, whose version 1 is not kept here
    create_time  BIGINT  NOT NULL
);

CREATE TABLE gw_assistant_versions (
    assistant_id TEXT   NOT NULL REFERENCES gw_assistants (assistant_id) ON DELETE CASCADE,
    version      BIGINT NOT NULL,
    graph_id     TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    folded_name  TEXT   NOT NULL, -- the name in the form in which names are looked for
    description  TEXT   NOT NULL,
    config       TEXT   NOT NULL, -- a JSON object: recursion_limit, tags, configurable
    context      TEXT,            -- a JSON object; NULL: none
    metadata     TEXT   NOT NULL, -- a JSON object
    breakpoints  TEXT   NOT NULL, -- a JSON array
    update_time  BIGINT NOT NULL,
    PRIMARY KEY (assistant_id, version)
);

-- The graph to which the thread's state belongs. Empty: that of its assistant.
ALTER TABLE gw_threads ADD COLUMN graph_id TEXT NOT NULL DEFAULT '';
