-- How a tenant wants its documents read and its questions answered: JSON, '{}' being the defaults.
ALTER TABLE tenants ADD COLUMN rag_settings TEXT NOT NULL DEFAULT '{}';
-- Grows with each change of them.
ALTER TABLE tenants ADD COLUMN rag_revision INTEGER NOT NULL DEFAULT 1;
