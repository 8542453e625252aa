-- The last time that a schedule was due and did not fire, and why; null when it has fired since.
alter table schedules add column skipped_at timestamptz, add column skip_code text, add column skip_detail text;
