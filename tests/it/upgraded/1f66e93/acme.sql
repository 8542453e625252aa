BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'tenant','2026-11-29 01:36:40',1,X'4B131F7C356D71299F0AB78991E04B85B4DE59AB10427D1AF2AAB82973A6D6099ED1F2A62AF953469E1381AA69FA1E9B',933501);
CREATE TABLE chunks (
    workspace   TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    chunk_order INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    content     TEXT    NOT NULL,
    file        TEXT    NOT NULL,
    PRIMARY KEY (workspace, document_id, chunk_order)
) STRICT;
INSERT INTO "chunks" VALUES('ws_0197ut29oehp0i27','doc-a89f577bef3a223d55a3878fd4a62f3c',0,25,'# Heron

Ada Lovelace met Charles Babbage in London. Babbage works for Heron Ltd.','notes/heron.md');
INSERT INTO "chunks" VALUES('ws_0197ut29oehp0i27','doc-8212df42d6fbff9a3be24c205b596b11',0,16,'Grace Hopper left Kestrel Labs. Ada Lovelace lives in London.','kestrel.txt');
INSERT INTO "chunks" VALUES('ws_0197ut29tk7yxu3g','doc-53e0c1330865611cf5a83cbdfb0abf07',0,7,'Tomas Berg lives in Oslo.','Quietwater.md');
INSERT INTO "chunks" VALUES('ws_0197ut29tk7yxu3g','doc-9f7936f9b5c071ae81db818b80a44a0d',0,13,'Nora Lindqvist runs Fennwick Ltd in Oslo.','second.md');
CREATE TABLE entities (
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL,
    source_id   TEXT NOT NULL,
    file_path   TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT;
INSERT INTO "entities" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','concept','Ada Lovelace lives in London.<SEP>Ada Lovelace met Charles Babbage in London.','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000<SEP>doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','kestrel.txt<SEP>notes/heron.md');
INSERT INTO "entities" VALUES('ws_0197ut29oehp0i27','Charles Babbage','person','Ada Lovelace met Charles Babbage in London.','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','notes/heron.md');
INSERT INTO "entities" VALUES('ws_0197ut29oehp0i27','Heron Ltd','organization','Babbage works for Heron Ltd.','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','notes/heron.md');
INSERT INTO "entities" VALUES('ws_0197ut29oehp0i27','London','location','Ada Lovelace lives in London.<SEP>Ada Lovelace met Charles Babbage in London.','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000<SEP>doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','kestrel.txt<SEP>notes/heron.md');
INSERT INTO "entities" VALUES('ws_0197ut29oehp0i27','Grace Hopper','person','Grace Hopper left Kestrel Labs.','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','kestrel.txt');
INSERT INTO "entities" VALUES('ws_0197ut29oehp0i27','Kestrel Labs','organization','Grace Hopper left Kestrel Labs.','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','kestrel.txt');
INSERT INTO "entities" VALUES('ws_0197ut29tk7yxu3g','Oslo','location','Tomas Berg lives in Oslo.<SEP>Nora Lindqvist runs Fennwick Ltd in Oslo.','doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000<SEP>doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','Quietwater.md<SEP>second.md');
INSERT INTO "entities" VALUES('ws_0197ut29tk7yxu3g','Tomas Berg','person','Tomas Berg lives in Oslo.','doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000','Quietwater.md');
INSERT INTO "entities" VALUES('ws_0197ut29tk7yxu3g','Fennwick Ltd','organization','Nora Lindqvist runs Fennwick Ltd in Oslo.','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','second.md');
INSERT INTO "entities" VALUES('ws_0197ut29tk7yxu3g','Nora Lindqvist','person','Nora Lindqvist runs Fennwick Ltd in Oslo.','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','second.md');
CREATE TABLE entity_mentions (
    workspace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    chunk_id    TEXT NOT NULL,
    document_id TEXT NOT NULL,
    file        TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    description TEXT NOT NULL
) STRICT;
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','person','Ada Lovelace met Charles Babbage in London.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','Charles Babbage','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','person','Ada Lovelace met Charles Babbage in London.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','Heron Ltd','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','organization','Babbage works for Heron Ltd.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','London','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','location','Ada Lovelace met Charles Babbage in London.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt','concept','Ada Lovelace lives in London.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','Grace Hopper','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt','person','Grace Hopper left Kestrel Labs.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','Kestrel Labs','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt','organization','Grace Hopper left Kestrel Labs.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29oehp0i27','London','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt','location','Ada Lovelace lives in London.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29tk7yxu3g','Oslo','doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000','doc-53e0c1330865611cf5a83cbdfb0abf07','Quietwater.md','location','Tomas Berg lives in Oslo.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29tk7yxu3g','Tomas Berg','doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000','doc-53e0c1330865611cf5a83cbdfb0abf07','Quietwater.md','person','Tomas Berg lives in Oslo.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29tk7yxu3g','Fennwick Ltd','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md','organization','Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29tk7yxu3g','Nora Lindqvist','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md','person','Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO "entity_mentions" VALUES('ws_0197ut29tk7yxu3g','Oslo','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md','location','Nora Lindqvist runs Fennwick Ltd in Oslo.');
CREATE TABLE extractions (
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    chunk_order INTEGER NOT NULL,
    extraction  TEXT    NOT NULL,
    PRIMARY KEY (kb_id, document_id, revision, chunk_order)
) STRICT;
INSERT INTO "extractions" VALUES('default','doc-a89f577bef3a223d55a3878fd4a62f3c',1,0,'{"entities":[{"name":"Heron Ltd","type":"organization","description":"Babbage works for Heron Ltd."},{"name":"Charles Babbage","type":"person","description":"Ada Lovelace met Charles Babbage in London."},{"name":"Ada Lovelace","type":"person","description":"Ada Lovelace met Charles Babbage in London."},{"name":"London","type":"location","description":"Ada Lovelace met Charles Babbage in London."}],"relations":[{"source":"Ada Lovelace","target":"Charles Babbage","keywords":["london"],"description":"Ada Lovelace met Charles Babbage in London.","weight":1.0},{"source":"Charles Babbage","target":"London","keywords":["mentioned together"],"description":"Ada Lovelace met Charles Babbage in London.","weight":1.0},{"source":"Ada Lovelace","target":"London","keywords":["charles","babbage"],"description":"Ada Lovelace met Charles Babbage in London.","weight":1.0},{"source":"Charles Babbage","target":"Heron Ltd","keywords":["works"],"description":"Babbage works for Heron Ltd.","weight":1.0}]}');
INSERT INTO "extractions" VALUES('default','doc-8212df42d6fbff9a3be24c205b596b11',2,0,'{"entities":[{"name":"Grace Hopper","type":"person","description":"Grace Hopper left Kestrel Labs."},{"name":"Kestrel Labs","type":"organization","description":"Grace Hopper left Kestrel Labs."},{"name":"Ada Lovelace","type":"concept","description":"Ada Lovelace lives in London."},{"name":"London","type":"location","description":"Ada Lovelace lives in London."}],"relations":[{"source":"Grace Hopper","target":"Kestrel Labs","keywords":["left"],"description":"Grace Hopper left Kestrel Labs.","weight":1.0},{"source":"Ada Lovelace","target":"London","keywords":["lives"],"description":"Ada Lovelace lives in London.","weight":1.0}]}');
INSERT INTO "extractions" VALUES('papers','doc-53e0c1330865611cf5a83cbdfb0abf07',1,0,'{"entities":[{"name":"Tomas Berg","type":"person","description":"Tomas Berg lives in Oslo."},{"name":"Oslo","type":"location","description":"Tomas Berg lives in Oslo."}],"relations":[{"source":"Oslo","target":"Tomas Berg","keywords":["lives"],"description":"Tomas Berg lives in Oslo.","weight":1.0}]}');
INSERT INTO "extractions" VALUES('papers','doc-9f7936f9b5c071ae81db818b80a44a0d',1,0,'{"entities":[{"name":"Nora Lindqvist","type":"person","description":"Nora Lindqvist runs Fennwick Ltd in Oslo."},{"name":"Fennwick Ltd","type":"organization","description":"Nora Lindqvist runs Fennwick Ltd in Oslo."},{"name":"Oslo","type":"location","description":"Nora Lindqvist runs Fennwick Ltd in Oslo."}],"relations":[{"source":"Fennwick Ltd","target":"Nora Lindqvist","keywords":["runs"],"description":"Nora Lindqvist runs Fennwick Ltd in Oslo.","weight":1.0},{"source":"Nora Lindqvist","target":"Oslo","keywords":["runs","fennwick","ltd"],"description":"Nora Lindqvist runs Fennwick Ltd in Oslo.","weight":1.0},{"source":"Fennwick Ltd","target":"Oslo","keywords":["mentioned together"],"description":"Nora Lindqvist runs Fennwick Ltd in Oslo.","weight":1.0}]}');
CREATE TABLE owner (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    tenant_id TEXT    NOT NULL
) STRICT;
INSERT INTO "owner" VALUES(1,'acme');
CREATE TABLE parsed (
    kb_id       TEXT    NOT NULL,
    document_id TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    title       TEXT,
    text        TEXT    NOT NULL,
    PRIMARY KEY (kb_id, document_id)
) STRICT;
INSERT INTO "parsed" VALUES('default','doc-a89f577bef3a223d55a3878fd4a62f3c',1,'Heron','# Heron

Ada Lovelace met Charles Babbage in London. Babbage works for Heron Ltd.');
INSERT INTO "parsed" VALUES('default','doc-8212df42d6fbff9a3be24c205b596b11',2,NULL,'Grace Hopper left Kestrel Labs. Ada Lovelace lives in London.');
INSERT INTO "parsed" VALUES('papers','doc-53e0c1330865611cf5a83cbdfb0abf07',1,NULL,'Tomas Berg lives in Oslo.');
INSERT INTO "parsed" VALUES('papers','doc-9f7936f9b5c071ae81db818b80a44a0d',1,NULL,'Nora Lindqvist runs Fennwick Ltd in Oslo.');
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
INSERT INTO "relation_mentions" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','Charles Babbage','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','london',1000,'Ada Lovelace met Charles Babbage in London.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','London','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','charles,babbage',1000,'Ada Lovelace met Charles Babbage in London.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29oehp0i27','Charles Babbage','Heron Ltd','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','works',1000,'Babbage works for Heron Ltd.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29oehp0i27','Charles Babbage','London','doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md','mentioned together',1000,'Ada Lovelace met Charles Babbage in London.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','London','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt','lives',1000,'Ada Lovelace lives in London.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29oehp0i27','Grace Hopper','Kestrel Labs','doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt','left',1000,'Grace Hopper left Kestrel Labs.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29tk7yxu3g','Oslo','Tomas Berg','doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000','doc-53e0c1330865611cf5a83cbdfb0abf07','Quietwater.md','lives',1000,'Tomas Berg lives in Oslo.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29tk7yxu3g','Fennwick Ltd','Nora Lindqvist','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md','runs',1000,'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29tk7yxu3g','Fennwick Ltd','Oslo','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md','mentioned together',1000,'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO "relation_mentions" VALUES('ws_0197ut29tk7yxu3g','Nora Lindqvist','Oslo','doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md','runs,fennwick,ltd',1000,'Nora Lindqvist runs Fennwick Ltd in Oslo.');
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
INSERT INTO "relations" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','Charles Babbage','london','Ada Lovelace met Charles Babbage in London.',1.0,'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','notes/heron.md');
INSERT INTO "relations" VALUES('ws_0197ut29oehp0i27','Ada Lovelace','London','babbage,charles,lives','Ada Lovelace lives in London.<SEP>Ada Lovelace met Charles Babbage in London.',2.0,'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000<SEP>doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','kestrel.txt<SEP>notes/heron.md');
INSERT INTO "relations" VALUES('ws_0197ut29oehp0i27','Charles Babbage','Heron Ltd','works','Babbage works for Heron Ltd.',1.0,'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','notes/heron.md');
INSERT INTO "relations" VALUES('ws_0197ut29oehp0i27','Charles Babbage','London','mentioned together','Ada Lovelace met Charles Babbage in London.',1.0,'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000','notes/heron.md');
INSERT INTO "relations" VALUES('ws_0197ut29oehp0i27','Grace Hopper','Kestrel Labs','left','Grace Hopper left Kestrel Labs.',1.0,'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000','kestrel.txt');
INSERT INTO "relations" VALUES('ws_0197ut29tk7yxu3g','Oslo','Tomas Berg','lives','Tomas Berg lives in Oslo.',1.0,'doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000','Quietwater.md');
INSERT INTO "relations" VALUES('ws_0197ut29tk7yxu3g','Fennwick Ltd','Nora Lindqvist','runs','Nora Lindqvist runs Fennwick Ltd in Oslo.',1.0,'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','second.md');
INSERT INTO "relations" VALUES('ws_0197ut29tk7yxu3g','Fennwick Ltd','Oslo','mentioned together','Nora Lindqvist runs Fennwick Ltd in Oslo.',1.0,'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','second.md');
INSERT INTO "relations" VALUES('ws_0197ut29tk7yxu3g','Nora Lindqvist','Oslo','fennwick,ltd,runs','Nora Lindqvist runs Fennwick Ltd in Oslo.',1.0,'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000','second.md');
CREATE INDEX entity_mentions_by_name ON entity_mentions (workspace, name, chunk_id);
CREATE INDEX entity_mentions_by_document ON entity_mentions (workspace, document_id);
CREATE INDEX relation_mentions_by_ends ON relation_mentions (workspace, source, target, chunk_id, weight_milli);
CREATE INDEX relation_mentions_by_document ON relation_mentions (workspace, document_id);
CREATE INDEX relation_mentions_by_source ON relation_mentions (workspace, source, chunk_id, target);
CREATE INDEX relation_mentions_by_target ON relation_mentions (workspace, target, chunk_id, source);
COMMIT;
