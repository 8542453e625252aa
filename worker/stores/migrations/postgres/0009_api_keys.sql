-- API keys that reach less, that are rotated, and whose use is known.

-- The only knowledge base that the key reaches; null for all of the tenant.
alter table api_keys add column kb_id text collate "C";
-- What of its role the key may do, separated by spaces; null for everything.
alter table api_keys add column permissions text;
-- Who made it; null for the first key of a tenant.
alter table api_keys add column created_by text;
-- Grows with each change of the key, but not with its use.
alter table api_keys add column revision bigint not null default 1;
-- To the minute.
alter table api_keys add column last_used_at timestamptz;
-- The secret before the last rotation, and until when it works.
alter table api_keys add column previous_sha256 text;
alter table api_keys add column previous_until timestamptz;
