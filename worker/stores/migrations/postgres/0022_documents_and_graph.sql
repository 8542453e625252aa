-- Texts, extractions and the graph, where neither MongoDB nor Neo4j has them.

create table document_texts (
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    document_id text collate "C" not null,
    revision bigint not null,
    title text,
    text text not null,
    primary key (tenant_id, kb_id, document_id)
);

create table document_extractions (
    tenant_id text collate "C" not null,
    kb_id text collate "C" not null,
    document_id text collate "C" not null,
    revision bigint not null,
    chunk_order bigint not null,
    extraction text not null,
    primary key (tenant_id, kb_id, document_id, revision, chunk_order)
);

create table index_entities (
    tenant_id text collate "C" not null,
    workspace text collate "C" not null,
    kb_id text collate "C" not null,
    name text collate "C" not null,
    entity_type text not null,
    description text not null,
    source_id text not null,
    file_path text not null,
    primary key (tenant_id, workspace, name)
);

-- Weights are whole thousandths, as in the mention log.
create table index_relations (
    tenant_id text collate "C" not null,
    workspace text collate "C" not null,
    kb_id text collate "C" not null,
    source text collate "C" not null,
    target text collate "C" not null,
    keywords text not null,
    description text not null,
    weight_milli bigint not null,
    source_id text not null,
    file_path text not null,
    check (source < target),
    primary key (tenant_id, workspace, source, target)
);

select tenantry.isolate(name) from unnest(array[
    'document_texts', 'document_extractions', 'index_entities', 'index_relations'
]::regclass[]) name;
