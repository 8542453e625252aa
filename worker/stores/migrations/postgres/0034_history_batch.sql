-- The batch whose documents a job that ended worked on. Of what ended before it is not known.
alter table job_history add column batch_id uuid;
