-- The tables as PostgreSQL has them, by the same names, so that one text of SQL serves both. Copied, because their
-- keys have the tenant in front now. Whose the file is stands in it since its first use, before any other row.
CREATE TABLE document_texts (
    tenant_id   TEXT    NOT NULL,
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    title       TEXT,
    text        TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, kb_id, document_id)
) STRICT;
INSERT INTO document_texts SELECT owner.tenant_id, kb_id, document_id, revision, title, text FROM owner, parsed;
DROP TABLE parsed;

CREATE TABLE document_extractions (
    tenant_id   TEXT    NOT NULL,
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    chunk_order INTEGER NOT NULL,
    extraction  TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, kb_id, document_id, revision, chunk_order)
) STRICT;
INSERT INTO document_extractions
    SELECT owner.tenant_id, kb_id, document_id, revision, chunk_order, extraction FROM owner, extractions;
DROP TABLE extractions;

-- Rows from before this migration do not say which knowledge base they are of; their workspace does.
CREATE TABLE lightrag_doc_chunks (
    tenant_id         TEXT    NOT NULL,
    workspace         TEXT    NOT NULL,
    kb_id             TEXT,
    full_doc_id       TEXT    NOT NULL,
    file_path         TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    chunk_order_index INTEGER NOT NULL,
    tokens            INTEGER NOT NULL,
    content           TEXT    NOT NULL,
    PRIMARY KEY (workspace, full_doc_id, chunk_order_index)
) STRICT;
INSERT INTO lightrag_doc_chunks
    SELECT owner.tenant_id, workspace, NULL, document_id, file, document_id || '-chunk-' || printf('%03d', chunk_order),
           chunk_order, tokens, content
    FROM owner, chunks;
DROP TABLE chunks;

-- The mention log: what entities and relations are folded from. A document's rows are deleted before they are
-- written again, and it names each (key, chunk) once, so that no index needs to be unique.
CREATE TABLE index_entity_mentions (
    tenant_id   TEXT NOT NULL,
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    chunk_id    TEXT NOT NULL,
    document_id TEXT NOT NULL,
    file_name   TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL
) STRICT;
INSERT INTO index_entity_mentions
    SELECT owner.tenant_id, workspace, name, chunk_id, document_id, file, entity_type, description
    FROM owner, entity_mentions;
DROP TABLE entity_mentions;
CREATE INDEX index_entity_mentions_by_name ON index_entity_mentions (workspace, name, chunk_id);
CREATE INDEX index_entity_mentions_by_document ON index_entity_mentions (workspace, document_id);

CREATE TABLE index_relation_mentions (
    tenant_id    TEXT    NOT NULL,
    workspace    TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    chunk_id     TEXT    NOT NULL,
    document_id  TEXT    NOT NULL,
    file_name    TEXT    NOT NULL,
    keywords     TEXT    NOT NULL,
    weight_milli INTEGER NOT NULL,
    description  TEXT    NOT NULL
) STRICT;
INSERT INTO index_relation_mentions
    SELECT owner.tenant_id, workspace, source, target, chunk_id, document_id, file, keywords, weight_milli, description
    FROM owner, relation_mentions;
DROP TABLE relation_mentions;
-- Weight and tenant stand in the index, so that the sum over many mentions reads nothing else.
CREATE INDEX index_relation_mentions_by_ends
    ON index_relation_mentions (workspace, source, target, chunk_id, weight_milli, tenant_id);
CREATE INDEX index_relation_mentions_by_document ON index_relation_mentions (workspace, document_id);
-- For an end that no entity mention is about: its first mentions by chunk.
CREATE INDEX index_relation_mentions_by_source ON index_relation_mentions (workspace, source, chunk_id, target);
CREATE INDEX index_relation_mentions_by_target ON index_relation_mentions (workspace, target, chunk_id, source);

CREATE TABLE index_entities (
    tenant_id   TEXT NOT NULL,
    workspace   TEXT NOT NULL,
    kb_id       TEXT,
    name        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL,
    source_id   TEXT NOT NULL,
    file_path   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, workspace, name)
) STRICT;
INSERT INTO index_entities
    SELECT owner.tenant_id, workspace, NULL, name, entity_type, description, source_id, file_path FROM owner, entities;
DROP TABLE entities;

-- Weights are whole thousandths, as in the log.
CREATE TABLE index_relations (
    tenant_id    TEXT    NOT NULL,
    workspace    TEXT    NOT NULL,
    kb_id        TEXT,
    source       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    keywords     TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    weight_milli INTEGER NOT NULL,
    source_id    TEXT    NOT NULL,
    file_path    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, workspace, source, target)
) STRICT;
INSERT INTO index_relations
    SELECT owner.tenant_id, workspace, NULL, source, target, keywords, description,
           CAST(round(weight * 1000) AS INTEGER), source_id, file_path
    FROM owner, relations;
DROP TABLE relations;
