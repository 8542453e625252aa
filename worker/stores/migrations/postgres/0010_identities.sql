-- People who log in. They belong to no tenant: what they are in which tenant is in `members`. So their tables are in
-- the schema `tenantry`, and the application reaches them as a role of its own.

do $$
begin
    create role tenantry_identity nologin nosuperuser nocreatedb nocreaterole nobypassrls;
exception
    -- Roles belong to the cluster: another installation may have made it, even at this moment.
    when duplicate_object or unique_violation then null;
end $$;

create table tenantry.users (
    name text collate "C" primary key,
    password_hash text not null,
    created_at timestamptz not null
);

create table tenantry.sessions (
    session_id uuid primary key,
    user_name text collate "C" not null references tenantry.users,
    tenant_id text collate "C",
    -- Grows with each renewal: only the newest refresh token works.
    generation bigint not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz
);
create index sessions_by_user on tenantry.sessions (user_name);
create index sessions_by_end on tenantry.sessions (expires_at);

-- How often something was tried, such as to log in as somebody.
create table tenantry.gates (
    key text collate "C" primary key,
    tries bigint not null,
    last_at timestamptz not null,
    open_at timestamptz not null
);
create index gates_by_age on tenantry.gates (last_at);

-- Where somebody is a member.
create index members_by_subject on members (subject, tenant_id);

grant usage on schema public, tenantry to tenantry_identity;
grant select, insert, update, delete on tenantry.users, tenantry.sessions, tenantry.gates to tenantry_identity;
select tenantry.expose(name, 'tenantry_identity') from unnest(array['members', 'tenants']::regclass[]) name;

-- As before, with one more role that the application may become.
create or replace function tenantry.app_grant(app name) returns void language plpgsql as $$
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
    -- Memberships belong to the cluster, so they are left alone where another installation made them.
    foreach reader in array array['tenantry_directory', 'tenantry_relay', 'tenantry_identity'] loop
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
