-- A member is an identity, whose text names who gave the name, and no longer a bare name:
-- `local:NAME` is an account here, `issuer:URL#SUB` and `product:SUB` are whom tokens name.
--
-- Of the rows that are there: where there is an account of that name, the member is that account. Else only tokens could
-- use the row, and only tokens go on to: it becomes `user:NAME`, which an account that is made later never is.

ALTER TABLE members RENAME COLUMN subject TO identity;
DROP INDEX members_by_subject;
CREATE INDEX members_by_identity ON members (identity, tenant_id);
INSERT INTO members (tenant_id, identity, role, status, created_at_us, revision, removed_at_us)
SELECT tenant_id, 'local:' || identity, role, status, members.created_at_us, revision, removed_at_us
FROM members JOIN identity_users ON name = identity;
-- What is an account's now stays behind as removed, so that no token of that name gets more than it had. Revision 0 says
-- where it went.
UPDATE members
SET status = 'removed', revision = 0,
    removed_at_us = coalesce(removed_at_us, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
WHERE identity IN (SELECT name FROM identity_users);
UPDATE members SET identity = 'user:' || identity WHERE identity NOT LIKE '%:%';

-- Offers of a membership, each for the person who has its secret.
CREATE TABLE invitations (
    tenant_id     TEXT    NOT NULL REFERENCES tenants,
    invitation_id TEXT    NOT NULL,
    -- Whom it is meant for, as its maker wrote it.
    subject       TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('ADMIN', 'EDITOR', 'VIEWER', 'VIEWER_READONLY')),
    secret_sha256 TEXT    NOT NULL,
    created_by    TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, invitation_id),
    UNIQUE (tenant_id, subject)
) STRICT;
