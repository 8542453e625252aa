-- Members are changed by several people at once.

-- Grows with each change of the member.
ALTER TABLE members ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE members ADD COLUMN removed_at_us INTEGER;
