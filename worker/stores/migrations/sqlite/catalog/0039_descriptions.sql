-- What people say of tenants and knowledge bases, who made them, and when they were changed; null where that was before
-- this migration.
ALTER TABLE tenants ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE tenants ADD COLUMN created_by TEXT;
ALTER TABLE tenants ADD COLUMN updated_at INTEGER;
ALTER TABLE kbs ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE kbs ADD COLUMN created_by TEXT;
ALTER TABLE kbs ADD COLUMN updated_at INTEGER;
ALTER TABLE members ADD COLUMN created_by TEXT;
