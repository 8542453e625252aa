-- Webhooks: endpoints of a tenant, what each is to be told, and what came of each attempt.

CREATE TABLE webhook_endpoints (
    tenant_id       TEXT    NOT NULL REFERENCES tenants,
    endpoint_id     TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    -- The types of events that it asked for, with a space before, between and after them.
    events          TEXT    NOT NULL,
    -- Sealed: not readable without the installation's keys. The one before is used as well until then.
    secret          TEXT    NOT NULL,
    previous_secret TEXT,
    previous_until  INTEGER,
    -- A stamped job, from which the jobs of the endpoint are made.
    template        TEXT    NOT NULL,
    created_by      TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 1,
    disabled_at     INTEGER,
    -- `asked`, `gone`, `failing` or `key_gone`.
    disabled_reason TEXT,
    -- Since when no attempt has succeeded, and when one was last handed to the queue while that was so.
    failing_since   INTEGER,
    probed_at       INTEGER,
    PRIMARY KEY (tenant_id, endpoint_id)
) STRICT;

-- One event for one endpoint. Written in the transaction in which the thing happens that it tells of.
CREATE TABLE webhook_deliveries (
    tenant_id   TEXT    NOT NULL REFERENCES tenants,
    endpoint_id TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    occurred_at INTEGER NOT NULL,
    kb_id       TEXT,
    document_id TEXT,
    revision    INTEGER,
    job_id      TEXT,
    job_type    TEXT,
    status      TEXT,
    error_code  TEXT,
    -- `pending`: the queue does not have it yet. `queued`, then `delivered`, `failed` or `cancelled`.
    state       TEXT    NOT NULL DEFAULT 'pending',
    -- Whether a person asked for it: then it does not wait until an endpoint that fails works again.
    asked       INTEGER NOT NULL DEFAULT 0,
    -- How often it was started, and the job of the last time.
    runs        INTEGER NOT NULL DEFAULT 0,
    run_id      TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    last_at     INTEGER,
    last_status INTEGER,
    last_error  TEXT,
    next_at     INTEGER,
    ended_at    INTEGER,
    PRIMARY KEY (tenant_id, endpoint_id, event_id),
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoints ON DELETE CASCADE
) STRICT;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (tenant_id, endpoint_id, event_id)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_asked ON webhook_deliveries (tenant_id, endpoint_id) WHERE state = 'pending' AND asked;
CREATE INDEX webhook_deliveries_queued ON webhook_deliveries (tenant_id, endpoint_id) WHERE state = 'queued';
CREATE INDEX webhook_deliveries_by_run ON webhook_deliveries (tenant_id, run_id) WHERE state = 'queued';
CREATE INDEX webhook_deliveries_by_end ON webhook_deliveries (tenant_id, ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    tenant_id    TEXT    NOT NULL REFERENCES tenants,
    endpoint_id  TEXT    NOT NULL,
    event_id     TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    -- Of the answer, if there was one.
    status       INTEGER,
    error_code   TEXT,
    error_detail TEXT,
    PRIMARY KEY (tenant_id, endpoint_id, event_id, attempt),
    FOREIGN KEY (tenant_id, endpoint_id, event_id) REFERENCES webhook_deliveries ON DELETE CASCADE
) STRICT;
