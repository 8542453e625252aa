-- Bytes of what is made of a document: its text and chunks, and what was extracted and merged into the graph. They count
-- towards the tenant's storage.
ALTER TABLE documents ADD COLUMN text_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN graph_bytes INTEGER NOT NULL DEFAULT 0;
DROP INDEX documents_by_tenant;
CREATE INDEX documents_by_tenant ON documents (tenant_id, size_bytes, text_bytes, graph_bytes);
