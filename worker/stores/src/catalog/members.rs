//! Members and invitations of the tenant.

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, Role};
use uuid::Uuid;

use super::{Catalog, Row, Sql, Tx};
use crate::model::{
    Invitation, InvitationSecret, Invited, Member, MemberAdded, MemberChange, OverQuota, Page,
};
use crate::page;
use crate::ports::StoreResult;

fn read_member(row: &Row) -> sqlx::Result<Member> {
    Ok(Member {
        identity: row.parsed("identity")?,
        role: row.parsed("role")?,
        revision: row.number("revision")?,
        created_at: row.time("created_at")?,
        created_by: row.text_or_null("created_by")?,
    })
}

fn read_invitation(row: &Row) -> sqlx::Result<Invitation> {
    Ok(Invitation {
        id: row.parsed("invitation_id")?,
        subject: row.parsed("subject")?,
        role: row.parsed("role")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}

impl Catalog {
    fn member_select(&self, identity: &Identity) -> Sql<'_> {
        self.sql("select * from members where tenant_id = $1 and identity = $2 and removed_at is null")
            .bind(identity.to_string())
    }

    /// One member.
    pub async fn member(&self, identity: &Identity) -> StoreResult<Option<Member>> {
        self.rows.optional("catalog.member", self.member_select(identity), read_member).await
    }

    /// As [`Catalog::member`], within a transaction.
    pub(super) async fn member_in(&self, tx: &mut Tx, identity: &Identity) -> StoreResult<Option<Member>> {
        tx.optional(self.member_select(identity), read_member).await
    }

    /// Members by the text of their identity, beginning after `after`, of one role if given. At most `limit` (1 to
    /// 1,000).
    pub async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Identity>,
        limit: u32,
    ) -> StoreResult<Page<Member>> {
        let select = self.sql(
            "select * from members where tenant_id = $1 and identity > $2 and removed_at is null
             and ($3 is null or role = $3) order by identity limit $4",
        );
        let select = select.bind(after.map(ToString::to_string).unwrap_or_default());
        let select = select.bind(role.map(Role::as_str)).bind(page::rows_for(limit));
        let found = self.rows.all("catalog.members", select, read_member).await?;
        Ok(page::cut(found, limit, |member| member.identity.to_string()))
    }

    /// Members by the text of their identity, `limit` after the first `offset`, of one role if given, and how many
    /// there are in all.
    pub async fn members_numbered(
        &self,
        role: Option<Role>,
        offset: u64,
        limit: u32,
    ) -> StoreResult<(Vec<Member>, u64)> {
        let count = self.sql(
            "select count(*) as total from members
             where tenant_id = $1 and removed_at is null and ($2 is null or role = $2)",
        );
        let role = role.map(Role::as_str);
        let total =
            self.rows.one("catalog.members_counted", count.bind(role), |row| row.number("total")).await?;
        let select = self.sql(
            "select * from members where tenant_id = $1 and removed_at is null and ($2 is null or role = $2)
             order by identity limit $3 offset $4",
        );
        let select = select.bind(role).bind(limit).bind(offset);
        Ok((self.rows.all("catalog.members_numbered", select, read_member).await?, total))
    }

    /// Adds a member for the actor `by`, also one who was removed before, while members and open invitations together
    /// are fewer than `maximum` (`None`: no limit). Concurrent calls cannot exceed it.
    pub async fn member_insert(
        &self,
        identity: &Identity,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
        by: Option<&str>,
    ) -> StoreResult<MemberAdded> {
        let mut tx = self.rows.write("catalog.member_insert").await?;
        self.lock(&mut tx).await?;
        if self.member_in(&mut tx, identity).await?.is_some() {
            return Ok(MemberAdded::Known);
        }
        if let Some(over) = self.members_refused(&mut tx, maximum, now).await? {
            return Ok(MemberAdded::OverQuota(over));
        }
        let member = self.member_put(&mut tx, identity, role, now, by).await?;
        tx.commit().await?;
        Ok(self.announced(MemberAdded::New(member)).await)
    }

    /// The quota that one more member would exceed, open invitations counted. The transaction holds the tenant's
    /// lock.
    pub(super) async fn members_refused(
        &self,
        tx: &mut Tx,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>> {
        let Some(maximum) = maximum else { return Ok(None) };
        let current = self.member_total(tx).await? + self.invitation_total(tx, now).await?;
        Ok(OverQuota::members(current, maximum))
    }

    /// Number of members who were not removed.
    pub(super) async fn member_total(&self, tx: &mut Tx) -> StoreResult<u64> {
        let count =
            self.sql("select count(*) as total from members where tenant_id = $1 and removed_at is null");
        tx.one(count, |row| row.number("total")).await
    }

    /// Inserts a member, or restores a removed one.
    pub(super) async fn member_put(
        &self,
        tx: &mut Tx,
        identity: &Identity,
        role: Role,
        now: DateTime<Utc>,
        by: Option<&str>,
    ) -> StoreResult<Member> {
        let insert = self.sql(
            "insert into members (tenant_id, identity, role, created_at, created_by) values ($1, $2, $3, $4, $5)
             on conflict (tenant_id, identity) do update set role = excluded.role, removed_at = null,
                 revision = members.revision + 1, created_at = excluded.created_at,
                 created_by = excluded.created_by returning *",
        );
        let insert = insert.bind(identity.to_string()).bind(role.as_str()).bind(now).bind(by);
        tx.one(insert, read_member).await
    }

    /// Inserts a member of a new tenant. Returns whether the person was not one before.
    pub(super) async fn first_member_insert(
        &self,
        tx: &mut Tx,
        identity: &Identity,
        role: Role,
        now: DateTime<Utc>,
        by: Option<&str>,
    ) -> StoreResult<bool> {
        let insert = self.sql(
            "insert into members (tenant_id, identity, role, created_at, created_by) values ($1, $2, $3, $4, $5)
             on conflict (tenant_id, identity) do nothing",
        );
        let insert = insert.bind(identity.to_string()).bind(role.as_str()).bind(now).bind(by);
        Ok(tx.execute(insert).await? == 1)
    }

    /// Changes a member's role, if `revision` (when given) is still current. Concurrent changes are serialised, so
    /// the last one fails if it would leave the tenant without an `ADMIN`.
    pub async fn member_role_put(
        &self,
        identity: &Identity,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        self.member_change("catalog.member_role_put", identity, Ok(role), revision).await
    }

    /// Removes a member. Conditions as for [`Catalog::member_role_put`].
    pub async fn member_remove(
        &self,
        identity: &Identity,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange> {
        self.member_change("catalog.member_remove", identity, Err(now), revision).await
    }

    /// Changes the role, or removes the member at the given time.
    async fn member_change(
        &self,
        operation: &'static str,
        identity: &Identity,
        to: Result<Role, DateTime<Utc>>,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        let mut tx = self.rows.write(operation).await?;
        // Serialises changes: two admins who remove each other cannot both succeed.
        self.lock(&mut tx).await?;
        let found = self.member_in(&mut tx, identity).await?;
        let others = self.sql(
            "select exists (select 1 from members where tenant_id = $1 and identity <> $2
                            and role = 'ADMIN' and removed_at is null) as found",
        );
        let others = tx.one(others.bind(identity.to_string()), |row| row.flag("found")).await?;
        let member = match Member::change(found, to.ok(), revision, others) {
            Ok(member) => member,
            Err(refused) => return Ok(refused),
        };
        let update = self.sql(
            "update members set role = $3, revision = $4, removed_at = $5
             where tenant_id = $1 and identity = $2",
        );
        let update = update.bind(identity.to_string()).bind(member.role.as_str()).bind(member.revision);
        tx.execute(update.bind(to.err())).await?;
        tx.commit().await?;
        Ok(self.announced(MemberChange::Done(member)).await)
    }

    /// Number of open invitations.
    async fn invitation_total(&self, tx: &mut Tx, now: DateTime<Utc>) -> StoreResult<u64> {
        let count =
            self.sql("select count(*) as total from invitations where tenant_id = $1 and expires_at > $2");
        tx.one(count.bind(now), |row| row.number("total")).await
    }

    /// Creates an invitation, while members and open invitations together are fewer than `maximum` (`None`: no
    /// limit). Concurrent calls cannot exceed it. `sha256` is the digest of its secret. Deletes expired
    /// invitations.
    pub async fn invitation_insert(
        &self,
        invitation: &Invitation,
        sha256: &str,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<Invited> {
        let mut tx = self.rows.write("catalog.invitation_insert").await?;
        // The counts below stay true until the commit.
        self.lock(&mut tx).await?;
        let prune = self.sql("delete from invitations where tenant_id = $1 and expires_at <= $2");
        tx.execute(prune.bind(now)).await?;
        let members = self.member_total(&mut tx).await?;
        let open = self.invitation_total(&mut tx, now).await?;
        let insert = self.sql(
            "insert into invitations (tenant_id, invitation_id, subject, role, secret_sha256, created_by,
                 created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (tenant_id, subject) do nothing",
        );
        let insert = insert.bind(invitation.id).bind(invitation.subject.as_str());
        let insert = insert.bind(invitation.role.as_str()).bind(sha256).bind(&invitation.created_by);
        let insert = insert.bind(invitation.created_at).bind(invitation.expires_at);
        if tx.execute(insert).await? == 0 {
            return Ok(Invited::Known);
        }
        if let Some(refused) = Invited::refused(members, open, maximum) {
            return Ok(refused);
        }
        tx.commit().await?;
        Ok(Invited::New)
    }

    /// An open invitation.
    pub async fn invitation(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Invitation>> {
        let select = self
            .sql("select * from invitations where tenant_id = $1 and invitation_id = $2 and expires_at > $3");
        self.rows.optional("catalog.invitation", select.bind(id).bind(now), read_invitation).await
    }

    /// Open invitations by id, beginning after `after`. At most `limit` (1 to 1,000).
    pub async fn invitations(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Page<Invitation>> {
        let select = self.sql(
            "select * from invitations where tenant_id = $1 and ($2 is null or invitation_id > $2)
             and expires_at > $3 order by invitation_id limit $4",
        );
        let select = select.bind(after).bind(now).bind(page::rows_for(limit));
        let found = self.rows.all("catalog.invitations", select, read_invitation).await?;
        Ok(page::cut(found, limit, |invitation| invitation.id.to_string()))
    }

    /// Deletes an invitation. Returns whether it was there.
    pub async fn invitation_delete(&self, id: Uuid) -> StoreResult<bool> {
        let delete = self.invitation_delete_sql(id);
        Ok(self.rows.execute("catalog.invitation_delete", delete).await? == 1)
    }

    pub(super) fn invitation_delete_sql(&self, id: Uuid) -> Sql<'_> {
        self.sql("delete from invitations where tenant_id = $1 and invitation_id = $2").bind(id)
    }

    /// The open invitation with this secret, while the tenant takes members.
    pub(super) async fn invitation_of_secret(
        &self,
        tx: &mut Tx,
        secret: &InvitationSecret,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Invitation>> {
        let select = self.sql(
            "select * from invitations
             where tenant_id = $1 and invitation_id = $2 and secret_sha256 = $3 and expires_at > $4
                 and exists (select 1 from tenants
                             where tenant_id = $1 and status in ('provisioning', 'active'))",
        );
        tx.optional(select.bind(secret.id).bind(&secret.sha256).bind(now), read_invitation).await
    }
}
