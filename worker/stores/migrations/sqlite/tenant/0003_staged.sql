-- What is made of a replacement before it takes the place of the version that is served.
CREATE TABLE document_staged (
    tenant_id   TEXT    NOT NULL,
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    title       TEXT,
    text        TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, kb_id, document_id, revision)
) STRICT;

CREATE TABLE document_staged_chunks (
    tenant_id   TEXT    NOT NULL,
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    chunk_order INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    content     TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, kb_id, document_id, revision, chunk_order)
) STRICT;

-- Which revision of its document a chunk is of; null for chunks of before this migration.
ALTER TABLE lightrag_doc_chunks ADD COLUMN revision INTEGER;
