-- What a server asks when it does not know what became of a commit.

-- The last transaction that a writer has committed. Postgres keeps its own status of each, but
-- after a crash it may give the number of one that was lost to another.
CREATE TABLE gw_commits (
    writer TEXT   NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    noted  BIGINT NOT NULL
);
