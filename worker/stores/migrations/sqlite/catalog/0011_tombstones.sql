-- Since when the tenant is gone. Its row stays, emptied, so that nobody gets its id, nor its old jobs a tenant, again.
ALTER TABLE tenants ADD COLUMN deleted_at_us INTEGER;
