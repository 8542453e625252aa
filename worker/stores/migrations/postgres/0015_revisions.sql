-- No document of the tenant that is gone had a higher revision, and none that comes has a lower one: so whatever still
-- works on one that is gone takes no later upload of the same name for it.
alter table tenants add column gone_revision bigint not null default 0;
