-- The operator's list of tenants, by name, by plan and by age; and those that are held back, which are few.
create index tenants_by_name on tenants (lower(name), tenant_id);
create index tenants_by_plan on tenants (plan, tenant_id);
create index tenants_by_age on tenants (created_at, tenant_id);
create index tenants_held on tenants (tenant_id) where status <> 'active' or flows <> '{}';
