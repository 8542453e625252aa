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
