-- The word that is a tenant's id stays its own when it chooses another.
CREATE TABLE words (
    slug       TEXT    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL REFERENCES tenants,
    -- Whether the tenant is called so, rather than only keeping others from it.
    is_current INTEGER NOT NULL
) STRICT;
INSERT INTO words (slug, tenant_id, is_current) SELECT slug, tenant_id, TRUE FROM slugs;
INSERT INTO words (slug, tenant_id, is_current) SELECT tenant_id, tenant_id, FALSE FROM slugs WHERE TRUE
ON CONFLICT DO NOTHING;
DROP TABLE slugs;
ALTER TABLE words RENAME TO slugs;
CREATE UNIQUE INDEX slugs_current ON slugs (tenant_id) WHERE is_current;
