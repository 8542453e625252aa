-- What a tenant is called in host names: its id, unless it chose another word. One word is one tenant's, and nobody can
-- take the word that is another's id.
create table slugs (
    tenant_id text collate "C" primary key references tenants,
    slug text collate "C" not null unique
);
-- The owner, too, sees no rows of tenants unless it says so.
alter table tenants no force row level security;
insert into slugs (tenant_id, slug) select tenant_id, tenant_id from tenants;
alter table tenants force row level security;
select tenantry.isolate('slugs');
select tenantry.expose('slugs', 'tenantry_directory');
