-- No document of the tenant that is gone had a higher revision, and none that comes has a lower one: so whatever still
-- works on one that is gone takes no later upload of the same name for it.
ALTER TABLE tenants ADD COLUMN gone_revision INTEGER NOT NULL DEFAULT 0;
