-- A batch is what one request, or one folder, brought in. A document belongs to the batch of its last upload.
ALTER TABLE documents ADD COLUMN batch_id TEXT;
CREATE INDEX documents_by_batch ON documents (tenant_id, batch_id) WHERE batch_id IS NOT NULL;

-- Documents that left their batch, without their names: replaced by a later upload, or deleted. Kept for 30 days.
CREATE TABLE batch_left (
    tenant_id TEXT    NOT NULL REFERENCES tenants,
    left_id   TEXT    NOT NULL,
    batch_id  TEXT    NOT NULL,
    kb_id     TEXT    NOT NULL,
    how       TEXT    NOT NULL CHECK (how IN ('replaced', 'deleted')),
    left_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, left_id)
) STRICT;
CREATE INDEX batch_left_by_batch ON batch_left (tenant_id, batch_id);
CREATE INDEX batch_left_by_age ON batch_left (tenant_id, left_at);

-- An upload into a cancelled batch is refused.
CREATE TABLE batch_cancellations (
    tenant_id    TEXT    NOT NULL REFERENCES tenants,
    batch_id     TEXT    NOT NULL,
    kb_id        TEXT    NOT NULL,
    cancelled_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, kb_id)
) STRICT;

-- A trigger, so that an upload takes no more statements for it. Removes more old rows than it adds.
CREATE TRIGGER document_leaves_batch AFTER UPDATE OF batch_id ON documents
WHEN OLD.batch_id IS NOT NULL AND NEW.batch_id IS NOT OLD.batch_id
BEGIN
    INSERT INTO batch_left (tenant_id, left_id, batch_id, kb_id, how, left_at)
    VALUES (OLD.tenant_id, lower(hex(randomblob(16))), OLD.batch_id, OLD.kb_id, 'replaced', NEW.updated_at);
    DELETE FROM batch_left WHERE tenant_id = OLD.tenant_id AND left_id IN (
        SELECT left_id FROM batch_left
        WHERE tenant_id = OLD.tenant_id AND left_at < NEW.updated_at - 2592000000000
        ORDER BY left_at LIMIT 2);
END;
