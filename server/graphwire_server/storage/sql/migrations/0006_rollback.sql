-- Runs that are rolled back: the thread is put to where it stood before them.

-- Somebody has asked for that; and it was done.
ALTER TABLE gw_runs ADD COLUMN rollback_requested BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE gw_runs ADD COLUMN rolled_back BOOLEAN NOT NULL DEFAULT FALSE;

-- It begins on a paused thread too, and gives up what waits there.
ALTER TABLE gw_runs ADD COLUMN discards BOOLEAN NOT NULL DEFAULT FALSE;

-- The run that wrote it; empty: none.
ALTER TABLE gw_checkpoint_writes ADD COLUMN run_id TEXT NOT NULL DEFAULT '';
