-- What a tenant is called in host names: its id, unless it chose another word. One word is one tenant's, and nobody can
-- take the word that is another's id.
create table slugs (
    slug text collate "C" primary key,
    tenant_id text collate "C" not null unique references tenants
);
-- The owner, too, sees no rows of tenants unless it says so.
alter table tenants no force row level security;
insert into slugs (slug, tenant_id) select tenant_id, tenant_id from tenants;
alter table tenants force row level security;
select tenantry.isolate('slugs');
select tenantry.expose('slugs', 'tenantry_directory');
