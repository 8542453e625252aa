-- What was decided about work, so that the queue's copy can be made again.

-- JSON: whether jobs flow, by queue, of all queues under an empty name.
ALTER TABLE tenants ADD COLUMN flows TEXT NOT NULL DEFAULT '{}';
-- When all work was cancelled last, and when something was said about a single job last: jobs that were made before
-- are looked at before they run.
ALTER TABLE tenants ADD COLUMN cancelled_at_us INTEGER;
ALTER TABLE tenants ADD COLUMN marked_at_us INTEGER;

-- Jobs that were cancelled, or started again, by themselves.
CREATE TABLE job_marks (
    tenant_id    TEXT    NOT NULL REFERENCES tenants,
    job_id       TEXT    NOT NULL,
    mark         TEXT    NOT NULL,
    marked_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
CREATE INDEX job_marks_by_age ON job_marks (tenant_id, marked_at_us);

-- Whether jobs of a queue flow, for all tenants.
CREATE TABLE queue_flows (
    queue TEXT PRIMARY KEY NOT NULL,
    flow  TEXT NOT NULL
) STRICT;
