-- Since when the tenant is gone. Its row stays, emptied, so that nobody gets its id, nor its old jobs a tenant, again.
alter table tenants add column deleted_at timestamptz;
