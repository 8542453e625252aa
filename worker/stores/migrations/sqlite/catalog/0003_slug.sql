-- What a tenant is called in host names: its id, unless it chose another word. One word is one tenant's, and nobody can
-- take the word that is another's id.
CREATE TABLE slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL UNIQUE REFERENCES tenants
) STRICT;
INSERT INTO slugs (slug, tenant_id) SELECT tenant_id, tenant_id FROM tenants;
