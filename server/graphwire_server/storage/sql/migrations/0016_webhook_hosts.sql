-- The backlog of a receiver that is away is not in the way of the others.

-- Which hosts have webhooks that are to be sent is a walk from one host to the next; so is what
-- has waited longest for each.
CREATE INDEX gw_webhooks_by_host ON gw_webhooks (host, due_time, number) WHERE status = 'PENDING';
