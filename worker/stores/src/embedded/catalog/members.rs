//! Who belongs to the tenant.

use chrono::{DateTime, Utc};
use jobs::tenant::{Role, Subject};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::port::TenantCatalog;
use crate::deadline::CALL;
use crate::embedded::column::{micros, moment, parsed, signed, unsigned};
use crate::embedded::fault::{Fault, call};
use crate::model::{Member, MemberAdded, MemberChange, Page};
use crate::page;
use crate::ports::{Members, StoreResult};

#[derive(sqlx::FromRow)]
struct MemberRow {
    subject: String,
    role: String,
    revision: i64,
    created_at_us: i64,
}

impl TryFrom<MemberRow> for Member {
    type Error = Fault;

    fn try_from(row: MemberRow) -> Result<Self, Fault> {
        Ok(Self {
            subject: parsed(&row.subject, "members.subject")?,
            role: parsed(&row.role, "members.role")?,
            revision: unsigned(row.revision, "members.revision")?,
            created_at: moment(row.created_at_us, "members.created_at_us")?,
        })
    }
}

const SELECT: &str = "SELECT * FROM members WHERE tenant_id = ? AND subject = ? AND status = 'active'";

impl TenantCatalog {
    async fn member_row(
        &self,
        reader: impl SqliteExecutor<'_>,
        subject: &Subject,
    ) -> Result<Option<Member>, Fault> {
        let row: Option<MemberRow> = sqlx::query_as(SELECT)
            .bind(self.tenant.as_str())
            .bind(subject.as_str())
            .fetch_optional(reader)
            .await?;
        row.map(Member::try_from).transpose()
    }

    async fn member_rows(
        &self,
        role: Option<Role>,
        after: Option<&Subject>,
        limit: u32,
    ) -> Result<Page<Member>, Fault> {
        let rows: Vec<MemberRow> = sqlx::query_as(
            "SELECT * FROM members WHERE tenant_id = ?1 AND subject > ?2 AND status = 'active'
                 AND (?3 IS NULL OR role = ?3)
             ORDER BY subject LIMIT ?4",
        )
        .bind(self.tenant.as_str())
        .bind(after.map_or("", Subject::as_str))
        .bind(role.map(Role::as_str))
        .bind(page::rows_for(limit))
        .fetch_all(self.file.read())
        .await?;
        let items = rows.into_iter().map(Member::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(page::cut(items, limit, |member| member.subject.to_string()))
    }

    async fn member_add(
        &self,
        subject: &Subject,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<MemberAdded, Fault> {
        let mut tx = self.file.begin().await?;
        if self.member_row(&mut *tx, subject).await?.is_some() {
            return Ok(MemberAdded::Known);
        }
        if let Some(maximum) = maximum
            && let Some(refused) = MemberAdded::refused(self.member_total(&mut tx).await?, maximum)
        {
            return Ok(refused);
        }
        sqlx::query(
            "INSERT INTO members (tenant_id, subject, role, status, created_at_us)
             VALUES (?, ?, ?, 'active', ?)
             ON CONFLICT (tenant_id, subject) DO UPDATE SET role = excluded.role, status = 'active',
                 removed_at_us = NULL, revision = members.revision + 1, created_at_us = excluded.created_at_us",
        )
        .bind(self.tenant.as_str())
        .bind(subject.as_str())
        .bind(role.as_str())
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
        let member = self.member_row(&mut *tx, subject).await?;
        tx.commit().await?;
        self.news.tenant_changed(&self.tenant).await;
        Ok(member.map_or(MemberAdded::Known, MemberAdded::New))
    }

    async fn member_total(&self, tx: &mut SqliteConnection) -> Result<u64, Fault> {
        let total: i64 =
            sqlx::query_scalar("SELECT count(*) FROM members WHERE tenant_id = ? AND status = 'active'")
                .bind(self.tenant.as_str())
                .fetch_one(tx)
                .await?;
        unsigned(total, "count(*)")
    }

    async fn other_admins(&self, tx: &mut SqliteConnection, subject: &Subject) -> Result<bool, Fault> {
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM members
                 WHERE tenant_id = ? AND subject <> ? AND role = 'ADMIN' AND status = 'active')",
        )
        .bind(self.tenant.as_str())
        .bind(subject.as_str())
        .fetch_one(tx)
        .await?)
    }

    /// To another role, or removed at a time.
    async fn member_change(
        &self,
        subject: &Subject,
        to: Result<Role, DateTime<Utc>>,
        revision: Option<u64>,
    ) -> Result<MemberChange, Fault> {
        let mut tx = self.file.begin().await?;
        let found = self.member_row(&mut *tx, subject).await?;
        let others = self.other_admins(&mut tx, subject).await?;
        let member = match Member::change(found, to.ok(), revision, others) {
            Ok(member) => member,
            Err(refused) => return Ok(refused),
        };
        sqlx::query(
            "UPDATE members SET role = ?3, revision = ?4, status = ?5, removed_at_us = ?6
             WHERE tenant_id = ?1 AND subject = ?2",
        )
        .bind(self.tenant.as_str())
        .bind(subject.as_str())
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

#[async_trait::async_trait]
impl Members for TenantCatalog {
    async fn member(&self, subject: &Subject) -> StoreResult<Option<Member>> {
        call("catalog.member", CALL, self.member_row(self.file.read(), subject)).await
    }

    async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Subject>,
        limit: u32,
    ) -> StoreResult<Page<Member>> {
        call("catalog.members", CALL, self.member_rows(role, after, limit)).await
    }

    async fn member_insert(
        &self,
        subject: &Subject,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberAdded> {
        call("catalog.member_insert", CALL, self.member_add(subject, role, maximum, now)).await
    }

    async fn member_role_put(
        &self,
        subject: &Subject,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        call("catalog.member_role_put", CALL, self.member_change(subject, Ok(role), revision)).await
    }

    async fn member_remove(
        &self,
        subject: &Subject,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange> {
        call("catalog.member_remove", CALL, self.member_change(subject, Err(now), revision)).await
    }
}
