//! Who belongs to the tenant.

use chrono::{DateTime, Utc};
use jobs::tenant::{Role, Subject};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::port::PgCatalog;
use super::tenant;
use crate::model::{Member, MemberAdded, MemberChange, Page};
use crate::page;
use crate::ports::{Members, StoreResult};
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Sql;

impl PgCatalog {
    /// To another role, or removed at a time.
    async fn member_change(
        &self,
        operation: &'static str,
        subject: &Subject,
        to: Result<Role, DateTime<Utc>>,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        let tenant = self.db.tenant().as_str();
        let mut tx = self.db.tx(operation).await?;
        // Two admins who remove each other are one after the other.
        tenant::lock(&mut tx, &self.db).await?;
        let found = tx.optional(select(&self.db, subject), read_member).await?;
        let others = sqlx::query(
            "select exists (select from members where tenant_id = $1 and subject <> $2 \
                            and role = 'ADMIN' and removed_at is null)",
        );
        let others = tx.one(others.bind(tenant).bind(subject.as_str()), |row| row.try_get(0)).await?;
        let member = match Member::change(found, to.ok(), revision, others) {
            Ok(member) => member,
            Err(refused) => return Ok(refused),
        };
        let update = sqlx::query(
            "update members set role = $3, revision = $4, removed_at = $5 \
             where tenant_id = $1 and subject = $2",
        );
        let update = update.bind(tenant).bind(subject.as_str()).bind(member.role.as_str());
        tx.execute(update.bind(row::wide(member.revision)).bind(to.err())).await?;
        tx.commit().await?;
        Ok(self.announced(MemberChange::Done(member)).await)
    }
}

fn select<'a>(db: &'a TenantDb, subject: &'a Subject) -> Sql<'a> {
    let sql =
        sqlx::query("select * from members where tenant_id = $1 and subject = $2 and removed_at is null");
    sql.bind(db.tenant().as_str()).bind(subject.as_str())
}

fn read_member(row: &PgRow) -> sqlx::Result<Member> {
    Ok(Member {
        subject: row::parsed(row, "subject")?,
        role: row::parsed(row, "role")?,
        revision: row::number(row, "revision")?,
        created_at: row.try_get("created_at")?,
    })
}

#[async_trait::async_trait]
impl Members for PgCatalog {
    async fn member(&self, subject: &Subject) -> StoreResult<Option<Member>> {
        let mut tx = self.db.tx("catalog.member").await?;
        let found = tx.optional(select(&self.db, subject), read_member).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Subject>,
        limit: u32,
    ) -> StoreResult<Page<Member>> {
        let sql = sqlx::query(
            "select * from members where tenant_id = $1 and subject > $2 and removed_at is null \
             and ($3::text is null or role = $3) order by subject limit $4",
        );
        let sql = sql.bind(self.db.tenant().as_str()).bind(after.map_or("", Subject::as_str));
        let sql = sql.bind(role.map(Role::as_str)).bind(i64::from(page::rows_for(limit)));
        let mut tx = self.db.tx("catalog.members").await?;
        let found = tx.all(sql, read_member).await?;
        tx.commit().await?;
        Ok(page::cut(found, limit, |member| member.subject.to_string()))
    }

    async fn member_insert(
        &self,
        subject: &Subject,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberAdded> {
        let tenant = self.db.tenant().as_str();
        let mut tx = self.db.tx("catalog.member_insert").await?;
        tenant::lock(&mut tx, &self.db).await?;
        if tx.optional(select(&self.db, subject), read_member).await?.is_some() {
            return Ok(MemberAdded::Known);
        }
        let total =
            sqlx::query("select count(*) as total from members where tenant_id = $1 and removed_at is null");
        let total = tx.one(total.bind(tenant), |row| row::number(row, "total")).await?;
        if let Some(refused) = maximum.and_then(|maximum| MemberAdded::refused(total, maximum)) {
            return Ok(refused);
        }
        let sql = sqlx::query(
            "insert into members (tenant_id, subject, role, created_at) values ($1, $2, $3, $4) \
             on conflict (tenant_id, subject) do update set role = excluded.role, removed_at = null, \
                 revision = members.revision + 1, created_at = excluded.created_at returning *",
        );
        let sql = sql.bind(tenant).bind(subject.as_str()).bind(role.as_str()).bind(now);
        let member = tx.one(sql, read_member).await?;
        tx.commit().await?;
        Ok(self.announced(MemberAdded::New(member)).await)
    }

    async fn member_role_put(
        &self,
        subject: &Subject,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        self.member_change("catalog.member_role_put", subject, Ok(role), revision).await
    }

    async fn member_remove(
        &self,
        subject: &Subject,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange> {
        self.member_change("catalog.member_remove", subject, Err(now), revision).await
    }
}
