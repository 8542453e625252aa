-- What a tenant is called in host names: its id, unless it chose another word. One word is one tenant's, and nobody can
-- take the word that is another's id.
CREATE TABLE slugs (
    tenant_id TEXT NOT NULL PRIMARY KEY REFERENCES tenants,
    slug      TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO slugs (tenant_id, slug) SELECT tenant_id, tenant_id FROM tenants;
