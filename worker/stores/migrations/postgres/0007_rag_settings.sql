-- How a tenant wants its documents read and its questions answered: JSON, '{}' being the defaults.
alter table tenants add column rag_settings text not null default '{}';
-- Grows with each change of them.
alter table tenants add column rag_revision bigint not null default 1;
