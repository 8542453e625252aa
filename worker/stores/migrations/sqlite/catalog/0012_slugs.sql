-- The word that is a tenant's id stays its own when it chooses another.
CREATE TABLE words (
    tenant_id  TEXT    NOT NULL REFERENCES tenants,
    slug       TEXT    NOT NULL UNIQUE,
    -- Whether the tenant is called so, rather than only keeping others from it.
    is_current INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, slug)
) STRICT;
INSERT INTO words (tenant_id, slug, is_current) SELECT tenant_id, slug, TRUE FROM slugs;
INSERT INTO words (tenant_id, slug, is_current) SELECT tenant_id, tenant_id, FALSE FROM slugs WHERE TRUE
ON CONFLICT DO NOTHING;
DROP TABLE slugs;
ALTER TABLE words RENAME TO slugs;
CREATE UNIQUE INDEX slugs_current ON slugs (tenant_id) WHERE is_current;
