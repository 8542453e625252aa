-- API keys that reach less, that are rotated, and whose use is known.

-- The only knowledge base that the key reaches; null for all of the tenant.
ALTER TABLE api_keys ADD COLUMN kb_id TEXT;
-- What of its role the key may do, separated by spaces; null for everything.
ALTER TABLE api_keys ADD COLUMN permissions TEXT;
-- Who made it; null for the first key of a tenant.
ALTER TABLE api_keys ADD COLUMN created_by TEXT;
-- Grows with each change of the key, but not with its use.
ALTER TABLE api_keys ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
-- To the minute.
ALTER TABLE api_keys ADD COLUMN last_used_at_us INTEGER;
-- The secret before the last rotation, and until when it works.
ALTER TABLE api_keys ADD COLUMN previous_sha256 TEXT;
ALTER TABLE api_keys ADD COLUMN previous_until_us INTEGER;
