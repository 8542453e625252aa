-- What was decided about work, so that the queue's copy can be made again.

-- JSON: whether jobs flow, by queue, of all queues under an empty name.
alter table tenants add column flows text not null default '{}';
-- When all work was cancelled last, and when something was said about a single job last: jobs that were made before
-- are looked at before they run.
alter table tenants add column cancelled_at timestamptz;
alter table tenants add column marked_at timestamptz;

-- Jobs that were cancelled, or started again, by themselves.
create table job_marks (
    tenant_id text collate "C" not null references tenants,
    job_id uuid not null,
    mark text not null,
    marked_at timestamptz not null,
    primary key (tenant_id, job_id)
);
create index job_marks_by_age on job_marks (tenant_id, marked_at);
select tenantry.isolate('job_marks');
select tenantry.expose('job_marks', 'tenantry_directory');

-- Whether jobs of a queue flow, for all tenants.
create table tenantry.queue_flows (
    queue text collate "C" primary key,
    flow text not null
);
grant select, insert, update, delete on tenantry.queue_flows to tenantry_identity;
