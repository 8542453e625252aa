-- The catalog of all tenants. Every row names its tenant; every statement of a tenant's store filters by it.
-- Times are microseconds since the Unix epoch.

CREATE TABLE tenants (
    tenant_id     TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    plan          TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('provisioning', 'active', 'suspended', 'deprovisioning')),
    epoch         INTEGER NOT NULL DEFAULT 0,
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE kbs (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    kb_id         TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    workspace     TEXT    NOT NULL UNIQUE,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kb_id)
) STRICT;

CREATE TABLE api_keys (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    key_id        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    secret_sha256 TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('ADMIN', 'EDITOR', 'VIEWER', 'VIEWER_READONLY')),
    expires_at_us INTEGER,
    revoked_at_us INTEGER,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key_id)
) STRICT;

-- A removed member keeps the row, so that a token from before the removal does not work on.
CREATE TABLE members (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    subject       TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('ADMIN', 'EDITOR', 'VIEWER', 'VIEWER_READONLY')),
    status        TEXT    NOT NULL CHECK (status IN ('active', 'removed')),
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, subject)
) STRICT;

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
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kb_id, document_id),
    FOREIGN KEY (tenant_id, kb_id) REFERENCES kbs
) STRICT;
CREATE INDEX documents_by_status ON documents (tenant_id, kb_id, status, document_id);

CREATE TABLE idempotency (
    tenant_id     TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    fingerprint   TEXT    NOT NULL,
    status        INTEGER NOT NULL,
    body          TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT;
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, created_at_us);

CREATE TABLE outbox (
    tenant_id     TEXT    NOT NULL,
    job_id        TEXT    NOT NULL,
    wire          TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
) STRICT;
CREATE INDEX outbox_by_age ON outbox (created_at_us);

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
CREATE INDEX schedules_by_time ON schedules (next_fire_at_us);

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
CREATE INDEX job_history_by_age ON job_history (tenant_id, finished_at_us, job_id);
