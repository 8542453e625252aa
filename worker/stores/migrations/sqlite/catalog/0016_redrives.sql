-- Dead letters that were started again: how often, when last, and by whom.
CREATE TABLE job_redrives (
    tenant_id  TEXT    NOT NULL,
    job_id     TEXT    NOT NULL,
    times      INTEGER NOT NULL CHECK (times > 0),
    last_at_us INTEGER NOT NULL,
    last_by    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
CREATE INDEX job_redrives_by_time ON job_redrives (tenant_id, last_at_us);
