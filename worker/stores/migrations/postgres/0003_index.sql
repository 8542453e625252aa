-- What queries read, as far as it is not in the graph.

-- LightRAG's table with LightRAG's columns, so that its server can read it. The last two columns are ours.
create table lightrag_doc_chunks (
    id varchar(255),
    workspace varchar(255),
    full_doc_id varchar(256),
    chunk_order_index integer,
    tokens integer,
    content text,
    file_path text null,
    llm_cache_list jsonb null default '[]'::jsonb,
    heading jsonb null default '{}'::jsonb,
    sidecar jsonb null default '{}'::jsonb,
    create_time timestamp(0) default current_timestamp,
    update_time timestamp(0) default current_timestamp,
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    constraint lightrag_doc_chunks_pk primary key (workspace, id)
);
create index lightrag_doc_chunks_by_document on lightrag_doc_chunks (workspace, full_doc_id, chunk_order_index);

-- The mention log: entities and relations are folds over it, read in byte order of chunk id.
create table index_entity_mentions (
    tenant_id text collate "C" not null,
    workspace text collate "C" not null,
    name text collate "C" not null,
    chunk_id text collate "C" not null,
    document_id text collate "C" not null,
    file_name text not null,
    entity_type text not null,
    description text not null,
    primary key (workspace, name, chunk_id)
);
create index index_entity_mentions_by_document on index_entity_mentions (workspace, document_id);

create table index_relation_mentions (
    tenant_id text collate "C" not null,
    workspace text collate "C" not null,
    source text collate "C" not null,
    target text collate "C" not null,
    chunk_id text collate "C" not null,
    document_id text collate "C" not null,
    file_name text not null,
    keywords text not null,
    weight_milli bigint not null,
    description text not null,
    check (source < target),
    primary key (workspace, source, target, chunk_id) include (weight_milli)
);
create index index_relation_mentions_by_document on index_relation_mentions (workspace, document_id);
-- For entities that only relations mention: the first mentions by chunk, whichever end the entity is.
create index index_relation_mentions_by_source on index_relation_mentions (workspace, source, chunk_id, target);
create index index_relation_mentions_by_target on index_relation_mentions (workspace, target, chunk_id, source);

select tenantry.isolate(name) from unnest(array[
    'lightrag_doc_chunks', 'index_entity_mentions', 'index_relation_mentions'
]::regclass[]) name;
