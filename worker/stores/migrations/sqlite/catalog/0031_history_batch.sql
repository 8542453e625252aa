-- The batch whose documents a job that ended worked on. Of what ended before it is not known.
ALTER TABLE job_history ADD COLUMN batch_id TEXT;
