-- The operator's list of tenants, by name, by plan and by age; and those that are held back, which are few.
CREATE INDEX tenants_by_name ON tenants (lower(name), tenant_id);
CREATE INDEX tenants_by_plan ON tenants (plan, tenant_id);
CREATE INDEX tenants_by_age ON tenants (created_at, tenant_id);
CREATE INDEX tenants_held ON tenants (tenant_id) WHERE status <> 'active' OR flows <> '{}';
