-- What people say of tenants and knowledge bases, who made them, and when they were changed; null where that was before
-- this migration.
alter table tenants
    add column description text not null default '',
    add column metadata text not null default '{}',
    add column created_by text,
    add column updated_at timestamptz;
alter table kbs
    add column description text not null default '',
    add column created_by text,
    add column updated_at timestamptz;
alter table members add column created_by text;
