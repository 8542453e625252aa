-- Webhooks: endpoints of a tenant, what each is to be told, and what came of each attempt.

create table webhook_endpoints (
    tenant_id text collate "C" not null references tenants,
    endpoint_id text collate "C" not null,
    url text not null,
    description text not null,
    -- The types of events that it asked for, with a space before, between and after them.
    events text not null,
    -- Sealed: not readable without the installation's keys. The one before is used as well until then.
    secret text not null,
    previous_secret text,
    previous_until timestamptz,
    -- A stamped job, from which the jobs of the endpoint are made.
    template text not null,
    created_by text collate "C" not null,
    created_at timestamptz not null,
    revision bigint not null default 1,
    disabled_at timestamptz,
    -- `asked`, `gone`, `failing` or `key_gone`.
    disabled_reason text collate "C",
    -- Since when no attempt has succeeded, and when one was last handed to the queue while that was so.
    failing_since timestamptz,
    probed_at timestamptz,
    primary key (tenant_id, endpoint_id)
);

-- One event for one endpoint. Written in the transaction in which the thing happens that it tells of.
create table webhook_deliveries (
    tenant_id text collate "C" not null references tenants,
    endpoint_id text collate "C" not null,
    event_id text collate "C" not null,
    event_type text collate "C" not null,
    occurred_at timestamptz not null,
    kb_id text collate "C",
    document_id text collate "C",
    revision bigint,
    job_id uuid,
    job_type text collate "C",
    status text collate "C",
    error_code text collate "C",
    -- `pending`: the queue does not have it yet. `queued`, then `delivered`, `failed` or `cancelled`.
    state text collate "C" not null default 'pending',
    -- Whether a person asked for it: then it does not wait until an endpoint that fails works again.
    asked boolean not null default false,
    -- How often it was started, and the job of the last time.
    runs bigint not null default 0,
    run_id uuid,
    attempts bigint not null default 0,
    last_at timestamptz,
    last_status bigint,
    last_error text collate "C",
    next_at timestamptz,
    ended_at timestamptz,
    primary key (tenant_id, endpoint_id, event_id),
    foreign key (tenant_id, endpoint_id) references webhook_endpoints on delete cascade
);
create index webhook_deliveries_pending on webhook_deliveries (tenant_id, endpoint_id, event_id)
    where state = 'pending';
create index webhook_deliveries_asked on webhook_deliveries (tenant_id, endpoint_id) where state = 'pending' and asked;
create index webhook_deliveries_queued on webhook_deliveries (tenant_id, endpoint_id) where state = 'queued';
create index webhook_deliveries_by_run on webhook_deliveries (tenant_id, run_id) where state = 'queued';
create index webhook_deliveries_by_end on webhook_deliveries (tenant_id, ended_at) where ended_at is not null;

create table webhook_attempts (
    tenant_id text collate "C" not null references tenants,
    endpoint_id text collate "C" not null,
    event_id text collate "C" not null,
    attempt bigint not null,
    at timestamptz not null,
    duration_ms bigint not null,
    -- Of the answer, if there was one.
    status bigint,
    error_code text collate "C",
    error_detail text,
    primary key (tenant_id, endpoint_id, event_id, attempt),
    foreign key (tenant_id, endpoint_id, event_id) references webhook_deliveries on delete cascade
);

select tenantry.isolate(name) from unnest(array[
    'webhook_endpoints', 'webhook_deliveries', 'webhook_attempts'
]::regclass[]) name;
-- The relay finds which endpoints have something pending.
select tenantry.expose('webhook_endpoints', 'tenantry_relay');
select tenantry.expose('webhook_deliveries', 'tenantry_relay');
