-- People who log in. They belong to no tenant: what they are in which tenant is in `members`.

CREATE TABLE identity_users (
    name          TEXT    NOT NULL PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE identity_sessions (
    session_id    TEXT    NOT NULL PRIMARY KEY,
    user_name     TEXT    NOT NULL REFERENCES identity_users,
    tenant_id     TEXT,
    -- Grows with each renewal: only the newest refresh token works.
    generation    INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    ended_at_us   INTEGER
) STRICT;
CREATE INDEX identity_sessions_by_user ON identity_sessions (user_name);
CREATE INDEX identity_sessions_by_end ON identity_sessions (expires_at_us);

-- How often something was tried, such as to log in as somebody.
CREATE TABLE identity_gates (
    key        TEXT    NOT NULL PRIMARY KEY,
    tries      INTEGER NOT NULL,
    last_at_us INTEGER NOT NULL,
    open_at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_gates_by_age ON identity_gates (last_at_us);

-- Where somebody is a member.
CREATE INDEX members_by_subject ON members (subject, tenant_id);
