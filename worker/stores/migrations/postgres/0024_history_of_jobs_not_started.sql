-- Jobs that were cancelled while they waited have a record too, and may never have started.
alter table job_history alter column started_at drop not null;
