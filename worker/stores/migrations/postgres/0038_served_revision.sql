-- A replacement is made beside the version that is served, and takes its place when it is whole. What is served is
-- described by the columns for counts and derived bytes; what is being made, by those that are called staged.
alter table documents add column served_revision bigint;
alter table documents add column served_sha256 text;
-- The size of the served revision's original, while the newest one is another.
alter table documents add column kept_bytes bigint not null default 0;
alter table documents add column staged_chunks bigint not null default 0;
alter table documents add column staged_text_bytes bigint not null default 0;
alter table documents add column staged_graph_bytes bigint not null default 0;

-- The owner, too, sees no rows of tenants unless it says so.
alter table documents no force row level security;
update documents set served_revision = revision, served_sha256 = sha256 where status = 'processed';
-- What was made before this migration, or is being made, has its chunks in the index already.
update documents set staged_chunks = chunks;
alter table documents force row level security;

drop index documents_by_tenant;
create index documents_by_tenant on documents (tenant_id)
    include (size_bytes, text_bytes, graph_bytes, kept_bytes, staged_text_bytes, staged_graph_bytes);

create table document_staged (
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    document_id text collate "C" not null,
    revision bigint not null,
    title text,
    text text not null,
    primary key (tenant_id, kb_id, document_id, revision)
);

create table document_staged_chunks (
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    document_id text collate "C" not null,
    revision bigint not null,
    chunk_order bigint not null,
    tokens bigint not null,
    content text not null,
    primary key (tenant_id, kb_id, document_id, revision, chunk_order)
);

select tenantry.isolate(name) from unnest(array['document_staged', 'document_staged_chunks']::regclass[]) name;

-- Which revision of its document a chunk is of; null for chunks of before this migration. LightRAG ignores it.
alter table lightrag_doc_chunks add column revision bigint;
