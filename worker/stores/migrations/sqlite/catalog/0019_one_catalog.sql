-- The names that tables and columns have in PostgreSQL, so that one text of SQL serves both. Times stay microseconds since
-- the Unix epoch.

ALTER TABLE tenants RENAME COLUMN created_at_us TO created_at;
ALTER TABLE tenants RENAME COLUMN deleted_at_us TO deleted_at;
ALTER TABLE tenants RENAME COLUMN cancelled_at_us TO cancelled_at;
ALTER TABLE tenants RENAME COLUMN marked_at_us TO marked_at;
ALTER TABLE kbs RENAME COLUMN created_at_us TO created_at;
ALTER TABLE kbs RENAME COLUMN deleting_at_us TO deleting_at;
ALTER TABLE api_keys RENAME COLUMN expires_at_us TO expires_at;
ALTER TABLE api_keys RENAME COLUMN revoked_at_us TO revoked_at;
ALTER TABLE api_keys RENAME COLUMN created_at_us TO created_at;
ALTER TABLE api_keys RENAME COLUMN last_used_at_us TO last_used_at;
ALTER TABLE api_keys RENAME COLUMN previous_until_us TO previous_until;
ALTER TABLE members RENAME COLUMN created_at_us TO created_at;
ALTER TABLE members RENAME COLUMN removed_at_us TO removed_at;
ALTER TABLE documents RENAME COLUMN created_at_us TO created_at;
ALTER TABLE documents RENAME COLUMN updated_at_us TO updated_at;
ALTER TABLE documents RENAME COLUMN deleting_at_us TO deleting_at;
ALTER TABLE idempotency RENAME COLUMN created_at_us TO created_at;
ALTER TABLE outbox RENAME COLUMN created_at_us TO created_at;
ALTER TABLE outbox_rejected RENAME COLUMN rejected_at_us TO rejected_at;
ALTER TABLE schedules RENAME COLUMN next_fire_at_us TO next_fire_at;
ALTER TABLE schedules RENAME COLUMN last_fire_at_us TO last_fire_at;
ALTER TABLE job_history RENAME COLUMN created_at_us TO created_at;
ALTER TABLE job_history RENAME COLUMN started_at_us TO started_at;
ALTER TABLE job_history RENAME COLUMN finished_at_us TO finished_at;
ALTER TABLE identity_users RENAME COLUMN created_at_us TO created_at;
ALTER TABLE identity_sessions RENAME COLUMN created_at_us TO created_at;
ALTER TABLE identity_sessions RENAME COLUMN expires_at_us TO expires_at;
ALTER TABLE identity_sessions RENAME COLUMN ended_at_us TO ended_at;
ALTER TABLE identity_gates RENAME COLUMN last_at_us TO last_at;
ALTER TABLE identity_gates RENAME COLUMN open_at_us TO open_at;
ALTER TABLE invitations RENAME COLUMN created_at_us TO created_at;
ALTER TABLE invitations RENAME COLUMN expires_at_us TO expires_at;
ALTER TABLE job_redrives RENAME COLUMN last_at_us TO last_at;
ALTER TABLE job_marks RENAME COLUMN marked_at_us TO marked_at;
ALTER TABLE job_history RENAME COLUMN error_text TO error_detail;

-- Nothing reads when a schedule was made.
ALTER TABLE schedules DROP COLUMN created_at_us;

-- A member was removed when the row says since when, and by nothing else.
UPDATE members SET removed_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
WHERE status = 'removed' AND removed_at IS NULL;
UPDATE members SET removed_at = NULL WHERE status = 'active';
ALTER TABLE members DROP COLUMN status;

ALTER TABLE identity_users RENAME TO users;
ALTER TABLE identity_sessions RENAME TO sessions;
ALTER TABLE identity_gates RENAME TO gates;
