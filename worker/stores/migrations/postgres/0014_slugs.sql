-- The word that is a tenant's id stays its own when it chooses another.
alter table slugs
    drop constraint slugs_pkey,
    add primary key (tenant_id, slug),
    -- Whether the tenant is called so, rather than only keeping others from it.
    add column is_current boolean not null default true;
create unique index slugs_current on slugs (tenant_id) where is_current;
-- The owner, too, sees no rows of tenants unless it says so.
alter table slugs no force row level security;
insert into slugs (tenant_id, slug, is_current) select tenant_id, tenant_id, false from slugs
on conflict do nothing;
alter table slugs force row level security;
