-- The knowledge base that a job was about: credentials of one see how its jobs ended, and no others. Of what ended
-- before it is not known, so such credentials do not see that.
ALTER TABLE job_history ADD COLUMN kb_id TEXT;
