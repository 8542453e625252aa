BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'tenant','2026-11-29 01:36:40',1,X'4B131F7C356D71299F0AB78991E04B85B4DE59AB10427D1AF2AAB82973A6D6099ED1F2A62AF953469E1381AA69FA1E9B',1500406);
CREATE TABLE chunks (
    workspace   TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    chunk_order INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    content     TEXT    NOT NULL,
    file        TEXT    NOT NULL,
    PRIMARY KEY (workspace, document_id, chunk_order)
) STRICT;
CREATE TABLE entities (
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL,
    source_id   TEXT NOT NULL,
    file_path   TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT;
CREATE TABLE entity_mentions (
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    chunk_id    TEXT NOT NULL,
    document_id TEXT NOT NULL,
    file        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL
) STRICT;
CREATE TABLE extractions (
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    chunk_order INTEGER NOT NULL,
    extraction  TEXT    NOT NULL,
    PRIMARY KEY (kb_id, document_id, revision, chunk_order)
) STRICT;
CREATE TABLE owner (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    tenant_id TEXT    NOT NULL
) STRICT;
INSERT INTO "owner" VALUES(1,'birch');
CREATE TABLE parsed (
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    title       TEXT,
    text        TEXT    NOT NULL,
    PRIMARY KEY (kb_id, document_id)
) STRICT;
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
CREATE INDEX entity_mentions_by_name ON entity_mentions (workspace, name, chunk_id);
CREATE INDEX entity_mentions_by_document ON entity_mentions (workspace, document_id);
CREATE INDEX relation_mentions_by_ends ON relation_mentions (workspace, source, target, chunk_id, weight_milli);
CREATE INDEX relation_mentions_by_document ON relation_mentions (workspace, document_id);
CREATE INDEX relation_mentions_by_source ON relation_mentions (workspace, source, chunk_id, target);
CREATE INDEX relation_mentions_by_target ON relation_mentions (workspace, target, chunk_id, source);
COMMIT;
