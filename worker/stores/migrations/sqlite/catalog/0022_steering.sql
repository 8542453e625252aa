-- What those who steer and administer need: the audit log, schedules that can be paused, lists of documents to delete.

-- Who steered or administered what, and why. Only added to: rows go when they are old, or with their tenant.
CREATE TABLE audit_log (
    tenant_id  TEXT    NOT NULL REFERENCES tenants,
    -- A UUID of version 7, so that rows are in the order of their times.
    audit_id   TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    -- JSON: what the action was about, by the names of path parameters.
    target     TEXT    NOT NULL,
    reason     TEXT,
    request_id TEXT    NOT NULL,
    -- Of the answer; null when the client left before there was one.
    status     INTEGER,
    PRIMARY KEY (tenant_id, audit_id)
) STRICT;
-- Rows of all tenants, newest first, and the old ones of all tenants.
CREATE INDEX audit_log_by_id ON audit_log (audit_id);

-- What the operator did about no tenant in particular, or about one whose own log goes with it.
CREATE TABLE operator_audit_log (
    audit_id   TEXT    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    reason     TEXT,
    request_id TEXT    NOT NULL,
    status     INTEGER
) STRICT;

CREATE TRIGGER audit_log_stays BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER operator_audit_log_stays BEFORE UPDATE ON operator_audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;

-- A paused schedule keeps its next time and does not fire.
ALTER TABLE schedules ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
DROP INDEX schedules_by_time;
CREATE INDEX schedules_by_time ON schedules (next_fire_at) WHERE NOT paused;

-- The documents that one request wants deleted, each at the revision that it had then: a later upload stays.
CREATE TABLE document_deletions (
    tenant_id   TEXT    NOT NULL REFERENCES tenants,
    list_id     TEXT    NOT NULL,
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, list_id, document_id)
) STRICT;
CREATE INDEX document_deletions_by_age ON document_deletions (tenant_id, created_at);
