BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'catalog','2026-11-29 01:36:40',1,X'9B793670E1C9134FB3F4C987FC2F9F735B17ECED10EE6A09CAAEE7F78C82814A8CF4F4E38DDBB35C82EFB01D8E1844FD',1350423);
INSERT INTO "_sqlx_migrations" VALUES(2,'settings','2026-11-29 01:36:40',1,X'1DECD0186EB93C5F2AB722286F25E8EB4821EBD25CBF82ACD2C3552728F425BBDE0B9A0F25D2E736DD4E2F7644820A30',1129344);
INSERT INTO "_sqlx_migrations" VALUES(3,'slug','2026-11-29 01:36:40',1,X'361094BAFE40D5ACA8347FD9B49A8A4809530094EF4A3505FB3FADB35583BA1CD35B2E97358B9DF6EE60F089C6782711',588077);
INSERT INTO "_sqlx_migrations" VALUES(4,'usage','2026-11-29 01:36:40',1,X'B99D08D2CAB2502AD4100129263FC4AA30BC8EA720D4A2FBC927817C92C7A51D2CD7A3D57BBD40675E5C095EA906E722',555838);
INSERT INTO "_sqlx_migrations" VALUES(5,'rag settings','2026-11-29 01:36:40',1,X'5A43023B35C963CEFFFF4CA51640AE832E9CA06DC1A48F5B1F2834339E8D3A308428E4B48129E6E8ADE667B06BF0D784',931849);
INSERT INTO "_sqlx_migrations" VALUES(6,'members','2026-11-29 01:36:40',1,X'D81AEC8F9918DB02C859F72FC8009DFF17EE267EF7565982CE405EB17517492FEE06B04599A435B2702DE7D36F2AA3FA',807494);
INSERT INTO "_sqlx_migrations" VALUES(7,'api keys','2026-11-29 01:36:40',1,X'572E8892DA8E4E8AD1811699983A8CB377B178BE9EF3CEF1D3A5EA2DC2AB3C124ADC4ECDC58D5CBF91A8B5683CCBA29A',1576250);
INSERT INTO "_sqlx_migrations" VALUES(8,'identities','2026-11-29 01:36:40',1,X'028A69497E614A1E3CB76A3E3B40445B81B9EFB8F9EB21BB6B7EEB8B68D49D4B03482A7516838CFEEAEEA32235ECA4C5',1014462);
INSERT INTO "_sqlx_migrations" VALUES(9,'deletion','2026-11-29 01:36:40',1,X'8B9054BCD581CECED7739B040558DA06A38C1BD5572151670D3EEEDC0DEC992A9BEF2C1E3431F27EB17C72151951AF44',705832);
INSERT INTO "_sqlx_migrations" VALUES(10,'kbs','2026-11-29 01:36:40',1,X'E919DE09E79F52326EE1BC006DBCAD8D53C06F96F37BB00FECB4FEABE5C0177490F01CCA897FECE7346D3A3322371577',833703);
INSERT INTO "_sqlx_migrations" VALUES(11,'tombstones','2026-11-29 01:36:40',1,X'87B380CE69A2B5EC91012E2B7A2A39F9B9013B390246242569A67CE547CA822597A34A38AB825294CD0A2BFFBD1F9789',632093);
INSERT INTO "_sqlx_migrations" VALUES(12,'slugs','2026-11-29 01:36:40',1,X'BDAB523282B2492575699330D695F58CADC0581ED65146BE08DB80A6968C8C8E8C6C11FDE1F65AF04E83BE4021AEC5A3',1268521);
INSERT INTO "_sqlx_migrations" VALUES(13,'revisions','2026-11-29 01:36:40',1,X'99CCEFFBB8578A4BB0452C2CEA416488FD4092214E8C8F94836F68A632B31CBA2978CD9CE82CFEDF33D68D988545D041',684220);
CREATE TABLE api_keys (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    key_id        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    secret_sha256 TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('ADMIN', 'EDITOR', 'VIEWER', 'VIEWER_READONLY')),
    expires_at_us INTEGER,
    revoked_at_us INTEGER,
    created_at_us INTEGER NOT NULL, kb_id TEXT, permissions TEXT, created_by TEXT, revision INTEGER NOT NULL DEFAULT 1, last_used_at_us INTEGER, previous_sha256 TEXT, previous_until_us INTEGER,
    PRIMARY KEY (tenant_id, key_id)
) STRICT;
INSERT INTO "api_keys" VALUES('acme','b40c7a663652bd91','first key','0fd6433ac31b63690d232b88def85b00eaba4b69a26ae6fd97a07d30d57d6e79','ADMIN',NULL,NULL,1795916200529443,NULL,NULL,NULL,1,1795916200612366,NULL,NULL);
INSERT INTO "api_keys" VALUES('birch','9843bf01a42e5738','first key','b9c717e67141c8175a9b3c0f5f6aa018bed11e81877306710acce5774056b5db','ADMIN',NULL,NULL,1795916200596754,NULL,NULL,NULL,1,NULL,NULL,NULL);
INSERT INTO "api_keys" VALUES('acme','714043dbf6dedef2','reader','24ea4c4506c36bd87006287ded25a87fcdfcd42e67c316ca062a0ea9617aff2b','VIEWER',NULL,NULL,1795916201019724,'papers',NULL,'api_key:b40c7a663652bd91',1,NULL,NULL,NULL);
INSERT INTO "api_keys" VALUES('acme','95047b91709824c8','revoked','8c6d5c970028d3507a29d6ae89e1322df303e3e4c0f5c9ec6bb487ef8f584bac','EDITOR',NULL,1795916201033945,1795916201026427,NULL,NULL,'api_key:b40c7a663652bd91',2,NULL,NULL,NULL);
INSERT INTO "api_keys" VALUES('acme','ff48a9989fe171cc','rotated','0499fa4f51378f76ff7043400e492ba71edbfea3d2eb3abcab2b1f50638e6da8','EDITOR',NULL,NULL,1795916201041570,NULL,'document:read','api_key:b40c7a663652bd91',2,NULL,NULL,NULL);
CREATE TABLE documents (
    tenant_id     TEXT    NOT NULL,
    kb_id         TEXT    NOT NULL,
    document_id   TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    revision      INTEGER NOT NULL CHECK (revision >= 1),
    media_type    TEXT    NOT NULL,
    size_bytes    INTEGER NOT NULL,
    sha256        TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('pending', 'processing', 'processed', 'failed')),
    fault_code    TEXT,
    fault_detail  TEXT,
    chunks        INTEGER NOT NULL DEFAULT 0,
    entities      INTEGER NOT NULL DEFAULT 0,
    relations     INTEGER NOT NULL DEFAULT 0,
    job_id        TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL, deleting_at_us INTEGER,
    PRIMARY KEY (tenant_id, kb_id, document_id),
    FOREIGN KEY (tenant_id, kb_id) REFERENCES kbs
) STRICT;
INSERT INTO "documents" VALUES('acme','default','doc-a89f577bef3a223d55a3878fd4a62f3c','notes/heron.md',1,'text/markdown',82,'c70d28fd0be2a1352bdd0af5a084a55bddde5825f6fcf458a5868a544bfa8ab4','processed',NULL,NULL,1,4,4,'01a224f2-7ab1-78eb-9a6b-e35bfe6ad5e9',1795916200629234,1795916200676244,NULL);
INSERT INTO "documents" VALUES('acme','default','doc-8212df42d6fbff9a3be24c205b596b11','kestrel.txt',2,'text/plain',61,'395ccbe77d225a935987756568127999ae3d61a5b120dc8d39074f54fe506d65','processed',NULL,NULL,1,4,2,'01a224f2-7b38-7c3b-9a01-32230baf78c3',1795916200642576,1795916200826598,NULL);
INSERT INTO "documents" VALUES('acme','papers','doc-53e0c1330865611cf5a83cbdfb0abf07','Quietwater.md',1,'text/markdown',25,'a149e86d2ba92e9d55a7a8e6fb278f021faf2a740d35b6db7b133148af798191','processed',NULL,NULL,1,2,1,'01a224f2-7b48-78f6-901c-8ae274e40e81',1795916200784413,1795916200851073,NULL);
INSERT INTO "documents" VALUES('acme','papers','doc-9f7936f9b5c071ae81db818b80a44a0d','second.md',1,'text/markdown',41,'1c08d6b1a138f865694229bc216a2b016d01df88f3100d307986ea82fe6a2059','processed',NULL,NULL,1,3,3,'01a224f2-7b48-7c94-9ac0-5c06fdc15052',1795916200784413,1795916200858736,NULL);
INSERT INTO "documents" VALUES('acme','default','doc-19b9ab570937b46e2383bc2f399f3321','empty.html',1,'text/html',16,'5fca5dfc48d7f4cd521889fd4623ef5b9e7a91a7e2f0573a274b1df1c52407d0','failed','empty_document','the document contains no text; upload a document with at least one word',0,0,0,'01a224f2-7b5a-7d3f-a841-9afe8c8eac75',1795916200799791,1795916200812952,NULL);
INSERT INTO "documents" VALUES('acme','papers','doc-09de8e05c2d99d5993022b60f2805b39','waiting.md',4,'text/markdown',35,'db2ba433d1e80b9c06faa8614fa7426e5f0843a626319247a3a829c0529e43b9','pending',NULL,NULL,0,0,0,'01a224f2-85a7-7c8a-8367-8b7a6967ce6b',1795916203435785,1795916203435785,NULL);
CREATE TABLE idempotency (
    tenant_id     TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    fingerprint   TEXT    NOT NULL,
    status        INTEGER NOT NULL,
    body          TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT;
INSERT INTO "idempotency" VALUES('self-test-canary-3f9c1b7d','canary-01a224f2-7947-717a-a629-d640cf45e147','canary-01a224f2-7947-717a-a629-d640cf45e147',200,'null',1795916200263965);
INSERT INTO "idempotency" VALUES('acme','acme-1','f926ea3dce4bd6fe8b202c448ee133f022f45db9bd02ce967d8be2054895716e',202,'{"api_key_id":"b40c7a663652bd91","job_id":"01a224f2-7a3e-7a43-a0d6-d17e2efeac9f","location":"/api/v1/tenants/acme","tenant":{"id":"acme","name":"Acme Ltd","plan":"standard","slug":"acme","status":"provisioning"}}',1795916200510779);
INSERT INTO "idempotency" VALUES('acme','papers-1','ce20db0fcdf879e03f22d35544d57da6e77b793a2e67a453bb985be7c55a7ed4',201,'{"created_at":"2026-11-29T01:36:40.612805650Z","id":"papers","location":"/api/v1/tenants/acme/kbs/papers","name":"Larkspur papers"}',1795916200613147);
INSERT INTO "idempotency" VALUES('acme','batch-1','e7a844a60fe8b9796695fe93f6875d48de11d00471b9f509faece2b67d491aec',202,'{"documents":[{"document_id":"doc-53e0c1330865611cf5a83cbdfb0abf07","job_id":"01a224f2-7b48-78f6-901c-8ae274e40e81","location":"/api/v1/tenants/acme/jobs/01a224f2-7b48-78f6-901c-8ae274e40e81","name":"Quietwater.md","revision":1},{"document_id":"doc-9f7936f9b5c071ae81db818b80a44a0d","job_id":"01a224f2-7b48-7c94-9ac0-5c06fdc15052","location":"/api/v1/tenants/acme/jobs/01a224f2-7b48-7c94-9ac0-5c06fdc15052","name":"second.md","revision":1}],"job_id":"01a224f2-7b48-78f6-901c-8ae274e40e81","location":"/api/v1/tenants/acme/jobs/01a224f2-7b48-78f6-901c-8ae274e40e81"}',1795916200784413);
CREATE TABLE identity_gates (
    key        TEXT    NOT NULL PRIMARY KEY,
    tries      INTEGER NOT NULL,
    last_at_us INTEGER NOT NULL,
    open_at_us INTEGER NOT NULL
) STRICT;
INSERT INTO "identity_gates" VALUES('signup:address:127.0.0.1',1,1795916200524963,1795916260524963);
INSERT INTO "identity_gates" VALUES('login:address:127.0.0.1',1,1795916201101362,1795916201601362);
CREATE TABLE identity_sessions (
    session_id    TEXT    NOT NULL PRIMARY KEY,
    user_name     TEXT    NOT NULL REFERENCES identity_users,
    tenant_id     TEXT,
    -- Grows with each renewal: only the newest refresh token works.
    generation    INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    ended_at_us   INTEGER
) STRICT;
INSERT INTO "identity_sessions" VALUES('01a224f2-7ce6-756c-aa5b-8b0e3f60b89f','ann','birch',1,1795916201190875,1798508201190875,NULL);
CREATE TABLE identity_users (
    name          TEXT    NOT NULL PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL
) STRICT;
INSERT INTO "identity_users" VALUES('ann','$argon2id$v=19$m=19456,t=2,p=1$JivoV5M7u7ISf/fsoutoQQ$MzSOeHkqCK4/bXVGUoXmvtlxvsSqgpk6HIRt+g6Fozk',1795916200578057);
CREATE TABLE job_history (
    tenant_id      TEXT    NOT NULL,
    job_id         TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    queue          TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    attempts       INTEGER NOT NULL,
    error_code     TEXT,
    error_text     TEXT,
    created_at_us  INTEGER NOT NULL,
    started_at_us  INTEGER NOT NULL,
    finished_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
INSERT INTO "job_history" VALUES('acme','01a224f2-7a3e-7a43-a0d6-d17e2efeac9f','tenant.provision','tenants','completed',1,NULL,NULL,1795916200510553,1795916200516592,1795916200537920);
INSERT INTO "job_history" VALUES('birch','01a224f2-7a81-781e-9cbe-dbd302590257','tenant.provision','tenants','completed',1,NULL,NULL,1795916200577803,1795916200582694,1795916200603420);
INSERT INTO "job_history" VALUES('acme','01a224f2-7ab1-78eb-9a6b-e35bfe6ad5e9','document.ingest','documents','completed',1,NULL,NULL,1795916200625914,1795916200633498,1795916200642369);
INSERT INTO "job_history" VALUES('acme','01a224f2-7abe-7e35-90d1-f2085725781a','document.ingest','documents','completed',1,NULL,NULL,1795916200638661,1795916200646692,1795916200655094);
INSERT INTO "job_history" VALUES('acme','01a224f2-7ab1-70f0-99ae-4b7c9d1222f1','entities.extract','enrich','completed',1,NULL,NULL,1795916200642024,1795916200649346,1795916200659853);
INSERT INTO "job_history" VALUES('acme','01a224f2-7abe-71fd-83cb-0a7c9e80e1e3','entities.extract','enrich','completed',1,NULL,NULL,1795916200654704,1795916200662208,1795916200669120);
INSERT INTO "job_history" VALUES('acme','01a224f2-7ab1-7b36-b713-48a4a16225d3','graph.build','enrich','completed',1,NULL,NULL,1795916200642146,1795916200667519,1795916200677722);
INSERT INTO "job_history" VALUES('acme','01a224f2-7abe-79b8-a7ea-1401e2e76493','graph.build','enrich','completed',1,NULL,NULL,1795916200654864,1795916200673596,1795916200680246);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b38-7c3b-9a01-32230baf78c3','document.ingest','documents','completed',1,NULL,NULL,1795916200760348,1795916200768489,1795916200783465);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b38-724b-9c14-804ea5cc41d5','entities.extract','enrich','completed',1,NULL,NULL,1795916200782343,1795916200788962,1795916200796632);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b48-78f6-901c-8ae274e40e81','document.ingest','documents','completed',1,NULL,NULL,1795916200776119,1795916200789462,1795916200799059);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b48-7c94-9ac0-5c06fdc15052','document.ingest','documents','completed',1,NULL,NULL,1795916200776662,1795916200794442,1795916200805794);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b5a-7d3f-a841-9afe8c8eac75','document.ingest','documents','discarded',1,'empty_document','the document contains no text; upload a document with at least one word',1795916200794095,1795916200805688,1795916200821515);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b48-7f52-80f1-666487a6154b','entities.extract','enrich','completed',1,NULL,NULL,1795916200797666,1795916200809582,1795916200829739);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b48-7d75-8cfd-5e82fa41805d','entities.extract','enrich','completed',1,NULL,NULL,1795916200805416,1795916200819189,1795916200830216);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b38-781c-ad82-f87a109d6496','graph.build','enrich','completed',1,NULL,NULL,1795916200782557,1795916200805994,1795916200831047);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b48-79c1-bd09-5830afabd899','graph.build','enrich','completed',1,NULL,NULL,1795916200797849,1795916200840795,1795916200853986);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b71-7bec-b3f0-0dbf4ca834cf','document.ingest','documents','completed',1,NULL,NULL,1795916200817702,1795916200833233,1795916200855837);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b48-7f90-9516-92f9df75c0c9','graph.build','enrich','completed',1,NULL,NULL,1795916200805554,1795916200847814,1795916200861785);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b8a-7522-8ef9-0a77f8197b90','document.ingest','documents','completed',1,NULL,NULL,1795916200842860,1795916200855918,1795916200864266);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b71-724c-85d2-d8d6c550d29f','entities.extract','enrich','completed',1,NULL,NULL,1795916200855417,1795916200865971,1795916200870086);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b8a-7cc0-8145-468db9f4d124','entities.extract','enrich','completed',1,NULL,NULL,1795916200863846,1795916200868626,1795916200877725);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b71-71cc-9ed9-e9c1f29b377b','graph.build','enrich','completed',1,NULL,NULL,1795916200855569,1795916200875776,1795916200887717);
INSERT INTO "job_history" VALUES('acme','01a224f2-7b8a-7b46-9023-3340ddffc3c8','graph.build','enrich','completed',1,NULL,NULL,1795916200864017,1795916200884030,1795916200891432);
INSERT INTO "job_history" VALUES('acme','01a224f2-7c0c-76c1-bb9c-c77a7ce1641a','document.delete','documents','completed',1,NULL,NULL,1795916200972689,1795916200979432,1795916201002014);
INSERT INTO "job_history" VALUES('acme','01a224f2-7c1e-7f83-a2fc-a71ac101b2ca','kb.delete','maintenance','completed',1,NULL,NULL,1795916200990831,1795916201002659,1795916201016729);
CREATE TABLE kbs (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    kb_id         TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    workspace     TEXT    NOT NULL UNIQUE,
    created_at_us INTEGER NOT NULL, deleting_at_us INTEGER, revision INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, kb_id)
) STRICT;
INSERT INTO "kbs" VALUES('acme','default','Default','ws_0197ut29oehp0i27',1795916200518078,NULL,1);
INSERT INTO "kbs" VALUES('birch','default','Default','ws_0197ut29s3ehzlcu',1795916200585301,NULL,1);
INSERT INTO "kbs" VALUES('acme','papers','Papers of Acme','ws_0197ut29tk7yxu3g',1795916200613147,NULL,2);
CREATE TABLE members (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    subject       TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('ADMIN', 'EDITOR', 'VIEWER', 'VIEWER_READONLY')),
    status        TEXT    NOT NULL CHECK (status IN ('active', 'removed')),
    created_at_us INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 1, removed_at_us INTEGER,
    PRIMARY KEY (tenant_id, subject)
) STRICT;
INSERT INTO "members" VALUES('birch','ann','ADMIN','active',1795916200578057,1,NULL);
INSERT INTO "members" VALUES('acme','ann','EDITOR','active',1795916201052855,1,NULL);
INSERT INTO "members" VALUES('acme','cid','VIEWER','active',1795916201058761,1,NULL);
INSERT INTO "members" VALUES('acme','dan','VIEWER','removed',1795916201064619,2,1795916201070059);
CREATE TABLE outbox (
    tenant_id     TEXT    NOT NULL,
    job_id        TEXT    NOT NULL,
    wire          TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
INSERT INTO "outbox" VALUES('acme','01a224f2-85a7-7c8a-8367-8b7a6967ce6b','{"stamp":"eyJhbGciOiJIUzI1NiIsImtpZCI6ImRldiJ9.eyJqdGkiOiIwMWEyMjRmMi04NWE3LTdjOGEtODM2Ny04YjdhNjk2N2NlNmIiLCJ0eXBlIjoiZG9jdW1lbnQuaW5nZXN0IiwiZGlnIjoiSnZ6NzRsTTBtWUZubEVUalVnN1g4S2pNcUw2RDZ6dU41TVM3T2pteUpuVSIsInRlbmFudCI6ImFjbWUiLCJrYiI6InBhcGVycyIsImFjdG9yIjoiYXBpX2tleTpiNDBjN2E2NjM2NTJiZDkxIiwicm9sZSI6IkFETUlOIiwiZXBvY2giOjAsImlhdCI6MTc5NTkxNjIwM30.xHBJwJ82dOuwD6no4xU8PeeVmn3EwYxSmMlibC4EFBk","job":{"specversion":"1.0","id":"01a224f2-85a7-7c8a-8367-8b7a6967ce6b","type":"document.ingest","queue":"documents","args":[{"document_id":"doc-09de8e05c2d99d5993022b60f2805b39","revision":4}],"meta":{"version":1,"traceparent":"00-ec04bf400929e0bdeb66f4b59ae5ed57-e58c173320790ce9-01","created_at":"2026-11-29T01:36:43.431663190Z"},"priority":0,"timeout":300}}',1795916203435785);
CREATE TABLE outbox_rejected (
    tenant_id      TEXT    NOT NULL,
    job_id         TEXT    NOT NULL,
    wire           TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    rejected_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
CREATE TABLE schedules (
    tenant_id       TEXT    NOT NULL,
    kb_id           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    cron            TEXT    NOT NULL,
    time_zone       TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    template        TEXT    NOT NULL,
    created_by      TEXT    NOT NULL,
    next_fire_at_us INTEGER NOT NULL,
    last_fire_at_us INTEGER,
    created_at_us   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kb_id, name),
    FOREIGN KEY (tenant_id, kb_id) REFERENCES kbs
) STRICT;
INSERT INTO "schedules" VALUES('acme','default','yearly','0 3 1 1 *','Europe/Berlin','kb.reindex','{"stamp":"eyJhbGciOiJIUzI1NiIsImtpZCI6ImRldiJ9.eyJqdGkiOiIwMWEyMjRmMi03YzgwLTdlYjctYjc2YS0xYjM4NGE4NGI4NTMiLCJ0eXBlIjoia2IucmVpbmRleCIsImRpZyI6InNWVnh6TzJwbDNkdE9iNGd1a29ySjJNOFBINU01bVF0VW5aMTN4QTExQ2MiLCJ0ZW5hbnQiOiJhY21lIiwia2IiOiJkZWZhdWx0IiwiYWN0b3IiOiJzY2hlZHVsZTp5ZWFybHkiLCJyb2xlIjoiQURNSU4iLCJlcG9jaCI6MCwiaWF0IjoxNzk1OTE2MjAxfQ.Q1kU6n2UifJ7h3R-nF2Asay-p4VH4rTeWKXmNk1iBRA","job":{"specversion":"1.0","id":"01a224f2-7c80-7eb7-b76a-1b384a84b853","type":"kb.reindex","queue":"maintenance","args":[{}],"meta":{"version":1,"traceparent":"00-3ec56a1d48de7c46d73a0077226c8faa-e80a5ba23c370cad-01","created_at":"2026-11-29T01:36:41.094338709Z"},"priority":-1,"timeout":120}}','api_key:b40c7a663652bd91',1798768800000000,NULL,1795916201088667);
CREATE TABLE "slugs" (
    tenant_id  TEXT    NOT NULL REFERENCES tenants,
    slug       TEXT    NOT NULL UNIQUE,
    -- Whether the tenant is called so, rather than only keeping others from it.
    is_current INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, slug)
) STRICT;
INSERT INTO "slugs" VALUES('acme','acme',0);
INSERT INTO "slugs" VALUES('birch','birch',1);
INSERT INTO "slugs" VALUES('acme','acme-works',1);
CREATE TABLE tenants (
    tenant_id     TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    plan          TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('provisioning', 'active', 'suspended', 'deprovisioning')),
    epoch         INTEGER NOT NULL DEFAULT 0,
    created_at_us INTEGER NOT NULL
, limits TEXT NOT NULL DEFAULT '{}', revision INTEGER NOT NULL DEFAULT 1, applied_revision INTEGER NOT NULL DEFAULT 0, rag_settings TEXT NOT NULL DEFAULT '{}', rag_revision INTEGER NOT NULL DEFAULT 1, deleted_at_us INTEGER, gone_revision INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "tenants" VALUES('acme','Acme Ltd','pro','active',0,1795916200510779,'{"max_documents":50}',3,3,'{"models":{"llm":null,"embedding":null},"embedding_dimensions":1024,"chunk_size_tokens":200,"chunk_overlap_tokens":100,"top_k":7}',2,NULL,3);
INSERT INTO "tenants" VALUES('birch','Birch','standard','active',0,1795916200578057,'{}',2,2,'{}',1,NULL,0);
INSERT INTO "tenants" VALUES('gone','','','deprovisioning',1,1795916200589745,'{}',3,3,'{}',1,1795916201240057,0);
CREATE TABLE usage_counters (
    tenant_id TEXT    NOT NULL,
    counter   TEXT    NOT NULL CHECK (counter IN ('jobs', 'api_calls')),
    -- 2027-01-31, or 2027-01
    period    TEXT    NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (tenant_id, counter, period)
) STRICT;
INSERT INTO "usage_counters" VALUES('acme','jobs','2026-11-29',11);
INSERT INTO "usage_counters" VALUES('acme','api_calls','2026-11',47);
CREATE INDEX documents_by_status ON documents (tenant_id, kb_id, status, document_id);
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, created_at_us);
CREATE INDEX outbox_by_age ON outbox (created_at_us);
CREATE INDEX schedules_by_time ON schedules (next_fire_at_us);
CREATE INDEX job_history_by_age ON job_history (tenant_id, finished_at_us, job_id);
CREATE INDEX tenants_unapplied ON tenants (tenant_id) WHERE applied_revision < revision;
CREATE INDEX documents_by_job ON documents (tenant_id, job_id);
CREATE INDEX documents_by_tenant ON documents (tenant_id, size_bytes);
CREATE INDEX identity_sessions_by_user ON identity_sessions (user_name);
CREATE INDEX identity_sessions_by_end ON identity_sessions (expires_at_us);
CREATE INDEX identity_gates_by_age ON identity_gates (last_at_us);
CREATE INDEX members_by_subject ON members (subject, tenant_id);
CREATE UNIQUE INDEX slugs_current ON slugs (tenant_id) WHERE is_current;
COMMIT;
