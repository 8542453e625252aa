-- Texts and index of one tenant. The file is the tenant's alone; whose it is stands in it, so that a file
-- that was copied to another tenant's place is refused.
CREATE TABLE owner (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    tenant_id TEXT    NOT NULL
) STRICT;

CREATE TABLE parsed (
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    title       TEXT,
    text        TEXT    NOT NULL,
    PRIMARY KEY (kb_id, document_id)
) STRICT;

CREATE TABLE extractions (
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    chunk_order INTEGER NOT NULL,
    extraction  TEXT    NOT NULL,
    PRIMARY KEY (kb_id, document_id, revision, chunk_order)
) STRICT;

CREATE TABLE chunks (
    workspace   TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    chunk_order INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    content     TEXT    NOT NULL,
    file        TEXT    NOT NULL,
    PRIMARY KEY (workspace, document_id, chunk_order)
) STRICT;

-- The mention log: what entities and relations are folded from. A document's rows are deleted before they are
-- written again, and it names each (key, chunk) once, so that no index needs to be unique.
CREATE TABLE entity_mentions (
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    chunk_id    TEXT NOT NULL,
    document_id TEXT NOT NULL,
    file        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL
) STRICT;
CREATE INDEX entity_mentions_by_name ON entity_mentions (workspace, name, chunk_id);
CREATE INDEX entity_mentions_by_document ON entity_mentions (workspace, document_id);

CREATE TABLE relation_mentions (
    workspace    TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    chunk_id     TEXT    NOT NULL,
    document_id  TEXT    NOT NULL,
    file         TEXT    NOT NULL,
    keywords     TEXT    NOT NULL,
    weight_milli INTEGER NOT NULL,
    description  TEXT    NOT NULL
) STRICT;
-- The weight stands in the index, so that the sum over many mentions reads nothing else.
CREATE INDEX relation_mentions_by_ends ON relation_mentions (workspace, source, target, chunk_id, weight_milli);
CREATE INDEX relation_mentions_by_document ON relation_mentions (workspace, document_id);
-- For an end that no entity mention is about: its first mentions by chunk.
CREATE INDEX relation_mentions_by_source ON relation_mentions (workspace, source, chunk_id, target);
CREATE INDEX relation_mentions_by_target ON relation_mentions (workspace, target, chunk_id, source);

CREATE TABLE entities (
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL,
    source_id   TEXT NOT NULL,
    file_path   TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT;

CREATE TABLE relations (
    workspace   TEXT NOT NULL,
    source      TEXT NOT NULL,
    target      TEXT NOT NULL,
    keywords    TEXT NOT NULL,
    description TEXT NOT NULL,
    weight      REAL NOT NULL,
    source_id   TEXT NOT NULL,
    file_path   TEXT NOT NULL,
    PRIMARY KEY (workspace, source, target)
) STRICT;
