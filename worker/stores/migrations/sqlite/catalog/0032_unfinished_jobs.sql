-- Accepted jobs that the queue has, until what they were accepted for has ended: a queue that lost them gets them again.
CREATE TABLE unfinished_jobs (
    tenant_id     TEXT    NOT NULL,
    job_id        TEXT    NOT NULL,
    wire          TEXT    NOT NULL,
    -- When the queue got it last; later than that for one that was lost again and again, so that it is looked for less
    -- often.
    placed_at     INTEGER NOT NULL,
    -- How often the queue got it again, and since when it has been missing there.
    again         INTEGER NOT NULL DEFAULT 0,
    missing_since INTEGER,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
CREATE INDEX unfinished_jobs_missing ON unfinished_jobs (missing_since) WHERE missing_since IS NOT NULL;

-- Deliveries of webhooks that the queue has, of all tenants in order.
CREATE INDEX webhook_deliveries_in_queue ON webhook_deliveries (tenant_id, endpoint_id, event_id) WHERE state = 'queued';
