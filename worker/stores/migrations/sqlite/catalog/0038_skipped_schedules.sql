-- The last time that a schedule was due and did not fire, and why; null when it has fired since.
ALTER TABLE schedules ADD COLUMN skipped_at INTEGER;
ALTER TABLE schedules ADD COLUMN skip_code TEXT;
ALTER TABLE schedules ADD COLUMN skip_detail TEXT;
