-- How tables are isolated, and the roles that read across tenants. Run by the owner, who is no superuser.
-- Bookkeeping lives in the schema `tenantry`; the schema `public` holds nothing but rows of tenants.

-- Two roles that nobody can log in as. A transaction of the application becomes one of them for one purpose.
do $$
declare
    name text;
begin
    foreach name in array array['tenantry_directory', 'tenantry_relay'] loop
        begin
            execute format('create role %I nologin nosuperuser nocreatedb nocreaterole nobypassrls', name);
        exception
            -- Roles belong to the cluster: another installation may have made it, even at this moment.
            when duplicate_object or unique_violation then null;
        end;
    end loop;
end $$;

-- A row is visible, and may be written, while the transaction's tenant is the row's. Forced, so that the owner is no
-- exception. Outside such a transaction the setting is null or empty, which no row's tenant is.
create function tenantry.isolate(target regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s add check (tenant_id <> '''')', target);
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
        'create policy tenant_rows on %s using (tenant_id = current_setting(''app.tenant_id'', true))', target);
end $$;

-- Lets `reader` see the rows of every tenant in one table. Only `tenantry_directory` and `tenantry_relay` ever get this.
create function tenantry.expose(target regclass, reader name) returns void language plpgsql as $$
begin
    execute format('grant select on %s to %I', target, reader);
    execute format('create policy %I on %s for select to %I using (true)', reader || '_reads', target, reader);
end $$;

-- Gives the role that the application logs in with what it needs and no more. Run after every migration.
create function tenantry.app_grant(app name) returns void language plpgsql as $$
declare
    target regclass;
    reader name;
begin
    execute format('grant usage on schema public, tenantry to %I', app);
    execute format('grant select on tenantry.migrations to %I', app);
    for target in
        select c.oid from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
          and pg_get_userbyid(c.relowner) = current_user
    loop
        execute format('grant select, insert, update, delete on %s to %I', target, app);
    end loop;
    -- The application may become a reader, but is none by itself. Memberships belong to the cluster, so they are left
    -- alone where another installation made them.
    foreach reader in array array['tenantry_directory', 'tenantry_relay'] loop
        continue when exists (
            select from pg_auth_members where roleid = reader::regrole and member = quote_ident(app)::regrole);
        if current_setting('server_version_num')::int >= 160000 then
            execute format('grant %I to %I with inherit false, set true', reader, app);
        else
            execute format('alter role %I noinherit', app);
            execute format('grant %I to %I', reader, app);
        end if;
    end loop;
end $$;

grant usage on schema public to tenantry_directory, tenantry_relay;
