-- A replacement is made beside the version that is served, and takes its place when it is whole. What is served is
-- described by the columns for counts and derived bytes; what is being made, by those that are called staged.
ALTER TABLE documents ADD COLUMN served_revision INTEGER;
ALTER TABLE documents ADD COLUMN served_sha256 TEXT;
-- The size of the served revision's original, while the newest one is another.
ALTER TABLE documents ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN staged_chunks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN staged_text_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN staged_graph_bytes INTEGER NOT NULL DEFAULT 0;

UPDATE documents SET served_revision = revision, served_sha256 = sha256 WHERE status = 'processed';
-- What was made before this migration, or is being made, has its chunks in the index already.
UPDATE documents SET staged_chunks = chunks;

DROP INDEX documents_by_tenant;
CREATE INDEX documents_by_tenant ON documents
    (tenant_id, size_bytes, text_bytes, graph_bytes, kept_bytes, staged_text_bytes, staged_graph_bytes);
