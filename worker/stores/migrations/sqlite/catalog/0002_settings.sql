-- What a tenant may use beyond its plan, and whether the queue knows.

-- JSON, without what the plan decides.
ALTER TABLE tenants ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
-- Grows with each change of what the queue has to know: plan, limits, status.
ALTER TABLE tenants ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
-- The revision that the queue knows. It has its own copy, so it can be behind.
ALTER TABLE tenants ADD COLUMN applied_revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tenants_unapplied ON tenants (tenant_id) WHERE applied_revision < revision;

-- Cancelling a job finds its document.
CREATE INDEX documents_by_job ON documents (tenant_id, job_id);
