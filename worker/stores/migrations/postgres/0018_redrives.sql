-- Dead letters that were started again: how often, when last, and by whom.
create table job_redrives (
    tenant_id text collate "C" not null,
    job_id uuid not null,
    times bigint not null check (times > 0),
    last_at timestamptz not null,
    last_by text not null,
    primary key (tenant_id, job_id)
);
create index job_redrives_by_time on job_redrives (tenant_id, last_at);
select tenantry.isolate('job_redrives');
