-- What exists, what was asked for, and what became of it.
-- Ids are compared byte by byte ("C"), so that pages come in the same order on every server.

create table tenants (
    tenant_id text collate "C" primary key,
    name text not null,
    plan text not null,
    status text not null check (status in ('provisioning', 'active', 'suspended', 'deprovisioning')),
    epoch bigint not null default 0,
    created_at timestamptz not null
);

create table kbs (
    tenant_id text collate "C" not null references tenants,
    kb_id text collate "C" not null,
    name text not null,
    -- No two knowledge bases, of whatever tenants, share one name in the index.
    workspace text collate "C" not null unique,
    created_at timestamptz not null,
    primary key (tenant_id, kb_id)
);

-- A removed member stays as a row, so that a token from before the removal stops working.
create table members (
    tenant_id text collate "C" not null references tenants,
    subject text collate "C" not null,
    role text not null,
    created_at timestamptz not null,
    removed_at timestamptz,
    primary key (tenant_id, subject)
);

create table api_keys (
    tenant_id text collate "C" not null references tenants,
    key_id text collate "C" not null,
    name text not null,
    secret_sha256 text not null,
    role text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    primary key (tenant_id, key_id)
);

create table documents (
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    document_id text collate "C" not null,
    name text not null,
    revision bigint not null,
    media_type text not null,
    size_bytes bigint not null,
    sha256 text not null,
    status text not null check (status in ('pending', 'processing', 'processed', 'failed')),
    fault_code text,
    fault_detail text,
    chunks bigint not null default 0,
    entities bigint not null default 0,
    relations bigint not null default 0,
    job_id uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, kb_id, document_id),
    foreign key (tenant_id, kb_id) references kbs
);
create index documents_by_status on documents (tenant_id, kb_id, status, document_id);

create table idempotency (
    tenant_id text collate "C" not null,
    key text collate "C" not null,
    fingerprint text not null,
    status integer not null,
    -- JSON as it was written: jsonb would sort it, and refuses some of its strings.
    body text not null,
    created_at timestamptz not null,
    primary key (tenant_id, key)
);
create index idempotency_by_age on idempotency (tenant_id, created_at);

-- Jobs that were accepted and that the queue may not have yet.
create table outbox (
    tenant_id text collate "C" not null,
    job_id uuid not null,
    wire text not null,
    created_at timestamptz not null,
    primary key (tenant_id, job_id)
);
create index outbox_by_age on outbox (created_at, job_id);

-- Jobs that the queue will never take, for people to look at.
create table outbox_rejected (
    tenant_id text collate "C" not null,
    job_id uuid not null,
    wire text not null,
    reason text not null,
    rejected_at timestamptz not null,
    primary key (tenant_id, job_id)
);

create table job_history (
    tenant_id text collate "C" not null,
    job_id uuid not null,
    kind text not null,
    queue text not null,
    state text not null,
    attempts bigint not null,
    error_code text,
    error_detail text,
    created_at timestamptz not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (tenant_id, job_id)
);
create index job_history_by_end on job_history (tenant_id, finished_at desc, job_id desc);

create table schedules (
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    name text collate "C" not null,
    cron text not null,
    time_zone text not null,
    kind text not null,
    template text not null,
    created_by text not null,
    next_fire_at timestamptz not null,
    last_fire_at timestamptz,
    primary key (tenant_id, kb_id, name),
    foreign key (tenant_id, kb_id) references kbs
);
create index schedules_by_time on schedules (next_fire_at);

select tenantry.isolate(name) from unnest(array[
    'tenants', 'kbs', 'members', 'api_keys', 'documents', 'idempotency', 'outbox', 'outbox_rejected', 'job_history',
    'schedules'
]::regclass[]) name;

-- The directory answers who exists and who may do what.
select tenantry.expose(name, 'tenantry_directory')
from unnest(array['tenants', 'kbs', 'members', 'api_keys', 'schedules']::regclass[]) name;

-- The relay sees what waits for the queue and what is due; it changes nothing but the outbox.
select tenantry.expose(name, 'tenantry_relay') from unnest(array['outbox', 'schedules']::regclass[]) name;
grant delete on outbox to tenantry_relay;
create policy tenantry_relay_deletes on outbox for delete to tenantry_relay using (true);
grant insert on outbox_rejected to tenantry_relay;
create policy tenantry_relay_inserts on outbox_rejected for insert to tenantry_relay with check (true);
