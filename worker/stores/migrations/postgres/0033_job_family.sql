-- Which job enqueued a job that ended, and the trace that they are in. Of what ended before it is not known.
alter table job_history add column parent_id uuid;
alter table job_history add column trace_id text;
create index job_history_by_parent on job_history (tenant_id, parent_id) where parent_id is not null;
