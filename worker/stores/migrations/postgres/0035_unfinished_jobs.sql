-- Accepted jobs that the queue has, until what they were accepted for has ended: a queue that lost them gets them again.
create table unfinished_jobs (
    tenant_id text collate "C" not null,
    job_id uuid not null,
    wire text not null,
    -- When the queue got it last; later than that for one that was lost again and again, so that it is looked for less
    -- often.
    placed_at timestamptz not null,
    -- How often the queue got it again, and since when it has been missing there.
    again bigint not null default 0,
    missing_since timestamptz,
    primary key (tenant_id, job_id)
);
create index unfinished_jobs_missing on unfinished_jobs (missing_since) where missing_since is not null;
select tenantry.isolate('unfinished_jobs');
select tenantry.expose('unfinished_jobs', 'tenantry_relay');
-- The relay puts jobs there that it has delivered, in place of the outbox.
grant insert on unfinished_jobs to tenantry_relay;
create policy tenantry_relay_inserts on unfinished_jobs for insert to tenantry_relay with check (true);

-- Deliveries of webhooks that the queue has, of all tenants in order.
create index webhook_deliveries_in_queue on webhook_deliveries (tenant_id, endpoint_id, event_id) where state = 'queued';
