-- What those who steer and administer need: the audit log, schedules that can be paused, lists of documents to delete.

-- Who steered or administered what, and why. Only added to: rows go when they are old, or with their tenant.
create table audit_log (
    tenant_id text collate "C" not null references tenants,
    -- A UUID of version 7, so that rows are in the order of their times.
    audit_id uuid not null,
    at timestamptz not null,
    actor text collate "C" not null,
    action text collate "C" not null,
    -- JSON: what the action was about, by the names of path parameters.
    target text not null,
    reason text,
    request_id text not null,
    -- Of the answer; null when the client left before there was one.
    status bigint,
    primary key (tenant_id, audit_id)
);
-- Rows of all tenants, newest first, and the old ones of all tenants.
create index audit_log_by_id on audit_log (audit_id);
select tenantry.isolate('audit_log');
select tenantry.expose('audit_log', 'tenantry_directory');
-- The relay removes what is too old or too much. No role changes a row.
select tenantry.expose('audit_log', 'tenantry_relay');
grant delete on audit_log to tenantry_relay;
create policy tenantry_relay_deletes on audit_log for delete to tenantry_relay using (true);

-- What the operator did about no tenant in particular, or about one whose own log goes with it.
create table tenantry.operator_audit_log (
    audit_id uuid primary key,
    at timestamptz not null,
    actor text collate "C" not null,
    action text collate "C" not null,
    target text not null,
    reason text,
    request_id text not null,
    status bigint
);
grant select, insert, delete on tenantry.operator_audit_log to tenantry_identity;
grant usage on schema tenantry to tenantry_directory;
grant select on tenantry.operator_audit_log to tenantry_directory;

-- A paused schedule keeps its next time and does not fire.
alter table schedules add column paused boolean not null default false;
drop index schedules_by_time;
create index schedules_by_time on schedules (next_fire_at) where not paused;

-- The documents that one request wants deleted, each at the revision that it had then: a later upload stays.
create table document_deletions (
    tenant_id text collate "C" not null references tenants,
    list_id uuid not null,
    kb_id text collate "C" not null,
    document_id text collate "C" not null,
    revision bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, list_id, document_id)
);
create index document_deletions_by_age on document_deletions (tenant_id, created_at);
select tenantry.isolate('document_deletions');

-- As before, but that the application may only read and add to the audit log.
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
        if target = 'public.audit_log'::regclass then
            execute format('grant select, insert on %s to %I', target, app);
        else
            execute format('grant select, insert, update, delete on %s to %I', target, app);
        end if;
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
