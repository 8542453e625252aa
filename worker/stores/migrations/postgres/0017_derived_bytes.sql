-- Bytes of what is made of a document: its text and chunks, and what was extracted and merged into the graph. They count
-- towards the tenant's storage.
alter table documents add column text_bytes bigint not null default 0;
alter table documents add column graph_bytes bigint not null default 0;
drop index documents_by_tenant;
create index documents_by_tenant on documents (tenant_id) include (size_bytes, text_bytes, graph_bytes);
