-- Entries of an audit log are numbered, and each has the hash of itself together with that of the entry before, so that
-- it shows when one was changed, removed or put in between. Entries from before have neither.
ALTER TABLE audit_log ADD COLUMN number INTEGER;
ALTER TABLE audit_log ADD COLUMN hash TEXT;
CREATE UNIQUE INDEX audit_log_by_number ON audit_log (tenant_id, number);
ALTER TABLE operator_audit_log ADD COLUMN number INTEGER;
ALTER TABLE operator_audit_log ADD COLUMN hash TEXT;
CREATE UNIQUE INDEX operator_audit_log_by_number ON operator_audit_log (number);
