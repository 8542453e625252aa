-- Which job enqueued a job that ended, and the trace that they are in. Of what ended before it is not known.
ALTER TABLE job_history ADD COLUMN parent_id TEXT;
ALTER TABLE job_history ADD COLUMN trace_id TEXT;
CREATE INDEX job_history_by_parent ON job_history (tenant_id, parent_id) WHERE parent_id IS NOT NULL;
