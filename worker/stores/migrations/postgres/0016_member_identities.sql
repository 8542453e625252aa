-- A member is an identity, whose text names who gave the name, and no longer a bare name:
-- `local:NAME` is an account here, `issuer:URL#SUB` and `product:SUB` are whom tokens name.
--
-- Of the rows that are there: where there is an account of that name, the member is that account. Else only tokens could
-- use the row, and only tokens go on to: it becomes `user:NAME`, which an account that is made later never is.

alter table members rename column subject to identity;
alter index members_by_subject rename to members_by_identity;
-- The owner, too, sees no rows of tenants unless it says so.
alter table members no force row level security;
insert into members (tenant_id, identity, role, created_at, removed_at, revision)
select tenant_id, 'local:' || identity, role, members.created_at, removed_at, revision
from members join tenantry.users on name = identity;
-- What is an account's now stays behind as removed, so that no token of that name gets more than it had. Revision 0 says
-- where it went.
update members
set identity = 'user:' || identity,
    removed_at = case when exists (select from tenantry.users where name = identity) then coalesce(removed_at, now())
                      else removed_at end,
    revision = case when exists (select from tenantry.users where name = identity) then 0 else revision end
where identity not like '%:%';
alter table members force row level security;

-- Offers of a membership, each for the person who has its secret.
create table invitations (
    tenant_id text collate "C" not null references tenants,
    invitation_id uuid not null,
    -- Whom it is meant for, as its maker wrote it.
    subject text collate "C" not null,
    role text not null,
    secret_sha256 text not null,
    created_by text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant_id, invitation_id),
    unique (tenant_id, subject)
);
select tenantry.isolate('invitations');
