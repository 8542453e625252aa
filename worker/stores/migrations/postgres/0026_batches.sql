-- A batch is what one request, or one folder, brought in. A document belongs to the batch of its last upload.
alter table documents add column batch_id uuid;
create index documents_by_batch on documents (tenant_id, batch_id) where batch_id is not null;

-- Documents that left their batch, without their names: replaced by a later upload, or deleted. Kept for 30 days.
create table batch_left (
    tenant_id text collate "C" not null references tenants,
    left_id uuid not null,
    batch_id uuid not null,
    kb_id text collate "C" not null,
    how text not null check (how in ('replaced', 'deleted')),
    left_at timestamptz not null,
    primary key (tenant_id, left_id)
);
create index batch_left_by_batch on batch_left (tenant_id, batch_id);
create index batch_left_by_age on batch_left (tenant_id, left_at);
select tenantry.isolate('batch_left');

-- An upload into a cancelled batch is refused.
create table batch_cancellations (
    tenant_id text collate "C" not null references tenants,
    batch_id uuid not null,
    kb_id text collate "C" not null,
    cancelled_at timestamptz not null,
    primary key (tenant_id, batch_id, kb_id)
);
select tenantry.isolate('batch_cancellations');

-- A trigger, so that an upload takes no more statements for it. Removes more old rows than it adds.
create function tenantry.document_leaves_batch() returns trigger language plpgsql as $$
begin
    insert into public.batch_left (tenant_id, left_id, batch_id, kb_id, how, left_at)
    values (old.tenant_id, gen_random_uuid(), old.batch_id, old.kb_id, 'replaced', new.updated_at);
    delete from public.batch_left where tenant_id = old.tenant_id and left_id in (
        select left_id from public.batch_left
        where tenant_id = old.tenant_id and left_at < new.updated_at - interval '30 days'
        order by left_at limit 2 for update skip locked);
    return null;
end $$;
create trigger document_leaves_batch after update of batch_id on documents
for each row when (old.batch_id is not null and new.batch_id is distinct from old.batch_id)
execute function tenantry.document_leaves_batch();
