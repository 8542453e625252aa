//! Who belongs to the tenant.

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, Role, TenantId};
use sqlx::{SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use super::invitations;
use super::port::TenantCatalog;
use crate::deadline::CALL;
use crate::embedded::column::{micros, moment, parsed, signed, unsigned};
use crate::embedded::fault::{Fault, call};
use crate::model::{Invitation, Invited, Member, MemberAdded, MemberChange, OverQuota, Page};
use crate::page;
use crate::ports::{Members, StoreResult};

#[derive(sqlx::FromRow)]
pub(in crate::embedded) struct MemberRow {
    identity: String,
    role: String,
    revision: i64,
    created_at_us: i64,
}

impl TryFrom<MemberRow> for Member {
    type Error = Fault;

    fn try_from(row: MemberRow) -> Result<Self, Fault> {
        Ok(Self {
            identity: parsed(&row.identity, "members.identity")?,
            role: parsed(&row.role, "members.role")?,
            revision: unsigned(row.revision, "members.revision")?,
            created_at: moment(row.created_at_us, "members.created_at_us")?,
        })
    }
}

const SELECT: &str = "SELECT * FROM members WHERE tenant_id = ? AND identity = ? AND status = 'active'";

impl TenantCatalog {
    async fn member_row(
        &self,
        reader: impl SqliteExecutor<'_>,
        identity: &Identity,
    ) -> Result<Option<Member>, Fault> {
        let row: Option<MemberRow> = sqlx::query_as(SELECT)
            .bind(self.tenant.as_str())
            .bind(identity.to_string())
            .fetch_optional(reader)
            .await?;
        row.map(Member::try_from).transpose()
    }

    async fn member_rows(
        &self,
        role: Option<Role>,
        after: Option<&Identity>,
        limit: u32,
    ) -> Result<Page<Member>, Fault> {
        let rows: Vec<MemberRow> = sqlx::query_as(
            "SELECT * FROM members WHERE tenant_id = ?1 AND identity > ?2 AND status = 'active'
                 AND (?3 IS NULL OR role = ?3)
             ORDER BY identity LIMIT ?4",
        )
        .bind(self.tenant.as_str())
        .bind(after.map(ToString::to_string).unwrap_or_default())
        .bind(role.map(Role::as_str))
        .bind(page::rows_for(limit))
        .fetch_all(self.file.read())
        .await?;
        let items = rows.into_iter().map(Member::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(page::cut(items, limit, |member| member.identity.to_string()))
    }

    async fn member_add(
        &self,
        identity: &Identity,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<MemberAdded, Fault> {
        let mut tx = self.file.begin().await?;
        if self.member_row(&mut *tx, identity).await?.is_some() {
            return Ok(MemberAdded::Known);
        }
        if let Some(maximum) = maximum {
            let open = invitations::open_total(&mut tx, &self.tenant, now).await?;
            let current = member_total(&mut tx, &self.tenant).await? + open;
            if let Some(over) = OverQuota::members(current, maximum) {
                return Ok(MemberAdded::OverQuota(over));
            }
        }
        let member = member_put(&mut tx, &self.tenant, identity, role, now).await?;
        tx.commit().await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(MemberAdded::New(member))
    }

    async fn other_admins(&self, tx: &mut SqliteConnection, identity: &Identity) -> Result<bool, Fault> {
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM members
                 WHERE tenant_id = ? AND identity <> ? AND role = 'ADMIN' AND status = 'active')",
        )
        .bind(self.tenant.as_str())
        .bind(identity.to_string())
        .fetch_one(tx)
        .await?)
    }

    /// To another role, or removed at a time.
    async fn member_change(
        &self,
        identity: &Identity,
        to: Result<Role, DateTime<Utc>>,
        revision: Option<u64>,
    ) -> Result<MemberChange, Fault> {
        let mut tx = self.file.begin().await?;
        let found = self.member_row(&mut *tx, identity).await?;
        let others = self.other_admins(&mut tx, identity).await?;
        let member = match Member::change(found, to.ok(), revision, others) {
            Ok(member) => member,
            Err(refused) => return Ok(refused),
        };
        sqlx::query(
            "UPDATE members SET role = ?3, revision = ?4, status = ?5, removed_at_us = ?6
             WHERE tenant_id = ?1 AND identity = ?2",
        )
        .bind(self.tenant.as_str())
        .bind(identity.to_string())
        .bind(member.role.as_str())
        .bind(signed(member.revision, "members.revision")?)
        .bind(if to.is_ok() { "active" } else { "removed" })
        .bind(to.err().map(micros))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(MemberChange::Done(member))
    }
}

/// Members who were not removed.
pub(in crate::embedded) async fn member_total(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<u64, Fault> {
    let total: i64 =
        sqlx::query_scalar("SELECT count(*) FROM members WHERE tenant_id = ? AND status = 'active'")
            .bind(tenant.as_str())
            .fetch_one(tx)
            .await?;
    unsigned(total, "count(*)")
}

/// Makes a person a member who is none, or no longer.
pub(in crate::embedded) async fn member_put(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    identity: &Identity,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Member, Fault> {
    let row: MemberRow = sqlx::query_as(
        "INSERT INTO members (tenant_id, identity, role, status, created_at_us)
         VALUES (?, ?, ?, 'active', ?)
         ON CONFLICT (tenant_id, identity) DO UPDATE SET role = excluded.role, status = 'active',
             removed_at_us = NULL, revision = members.revision + 1, created_at_us = excluded.created_at_us
         RETURNING *",
    )
    .bind(tenant.as_str())
    .bind(identity.to_string())
    .bind(role.as_str())
    .bind(micros(now))
    .fetch_one(tx)
    .await?;
    row.try_into()
}

#[async_trait::async_trait]
impl Members for TenantCatalog {
    async fn member(&self, identity: &Identity) -> StoreResult<Option<Member>> {
        call("catalog.member", CALL, self.member_row(self.file.read(), identity)).await
    }

    async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Identity>,
        limit: u32,
    ) -> StoreResult<Page<Member>> {
        call("catalog.members", CALL, self.member_rows(role, after, limit)).await
    }

    async fn member_insert(
        &self,
        identity: &Identity,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberAdded> {
        call("catalog.member_insert", CALL, self.member_add(identity, role, maximum, now)).await
    }

    async fn member_role_put(
        &self,
        identity: &Identity,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        call("catalog.member_role_put", CALL, self.member_change(identity, Ok(role), revision)).await
    }

    async fn member_remove(
        &self,
        identity: &Identity,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange> {
        call("catalog.member_remove", CALL, self.member_change(identity, Err(now), revision)).await
    }

    async fn invitation_insert(
        &self,
        invitation: &Invitation,
        sha256: &str,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<Invited> {
        let insert = invitations::insert(self, invitation, sha256, (maximum, now));
        call("catalog.invitation_insert", CALL, insert).await
    }

    async fn invitation(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Invitation>> {
        call("catalog.invitation", CALL, invitations::invitation(self, id, now)).await
    }

    async fn invitations(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Page<Invitation>> {
        call("catalog.invitations", CALL, invitations::page(self, after, limit, now)).await
    }

    async fn invitation_delete(&self, id: Uuid) -> StoreResult<bool> {
        call("catalog.invitation_delete", CALL, invitations::delete(self, id)).await
    }
}
