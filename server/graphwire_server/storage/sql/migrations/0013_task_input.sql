-- What was sent to the task that waits, by which the tasks of a fan-out are told apart.

ALTER TABLE gw_pauses ADD COLUMN task_input TEXT; -- JSON; NULL: it gets the state
