-- What a tenant may use beyond its plan, and whether the queue knows.

-- JSON, without what the plan decides.
alter table tenants add column limits text not null default '{}';
-- Grows with each change of what the queue has to know: plan, limits, status.
alter table tenants add column revision bigint not null default 1;
-- The revision that the queue knows. It has its own copy, so it can be behind.
alter table tenants add column applied_revision bigint not null default 0;
create index tenants_unapplied on tenants (tenant_id) where applied_revision < revision;

-- Cancelling a job finds its document.
create index documents_by_job on documents (tenant_id, job_id);
