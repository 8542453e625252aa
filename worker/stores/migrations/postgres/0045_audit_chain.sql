-- Entries of an audit log are numbered, and each has the hash of itself together with that of the entry before, so that
-- it shows when one was changed, removed or put in between. Entries from before have neither.
alter table audit_log add column number bigint, add column hash text collate "C";
create unique index audit_log_by_number on audit_log (tenant_id, number);
alter table tenantry.operator_audit_log add column number bigint unique, add column hash text collate "C";
