-- The operator's list says how much each tenant stores, in one statement: the directory counts documents and adds up
-- their sizes. It gets these columns and no others: neither names nor anything else of a document.
grant select (tenant_id, deleting_at, size_bytes, kept_bytes, text_bytes, graph_bytes, staged_text_bytes,
    staged_graph_bytes) on documents to tenantry_directory;
create policy tenantry_directory_reads on documents for select to tenantry_directory using (true);
