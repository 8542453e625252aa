-- Jobs that were cancelled while they waited have a record too, and may never have started. A column cannot lose its
-- NOT NULL here, so another takes its place.
ALTER TABLE job_history ADD COLUMN nullable_at INTEGER;
UPDATE job_history SET nullable_at = started_at;
ALTER TABLE job_history DROP COLUMN started_at;
ALTER TABLE job_history RENAME COLUMN nullable_at TO started_at;
