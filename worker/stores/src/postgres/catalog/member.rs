//! Who belongs to the tenant.

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, Role};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::port::PgCatalog;
use super::{invitation, tenant};
use crate::model::{Invitation, Invited, Member, MemberAdded, MemberChange, OverQuota, Page};
use crate::page;
use crate::ports::{Members, StoreResult};
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::{Sql, Tx};

impl PgCatalog {
    /// To another role, or removed at a time.
    async fn member_change(
        &self,
        operation: &'static str,
        identity: &Identity,
        to: Result<Role, DateTime<Utc>>,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        let tenant = self.db.tenant().as_str();
        let mut tx = self.db.tx(operation).await?;
        // Two admins who remove each other are one after the other.
        tenant::lock(&mut tx, &self.db).await?;
        let found = tx.optional(select(&self.db, identity), read_member).await?;
        let others = sqlx::query(
            "select exists (select from members where tenant_id = $1 and identity <> $2 \
                            and role = 'ADMIN' and removed_at is null)",
        );
        let others = tx.one(others.bind(tenant).bind(identity.to_string()), |row| row.try_get(0)).await?;
        let member = match Member::change(found, to.ok(), revision, others) {
            Ok(member) => member,
            Err(refused) => return Ok(refused),
        };
        let update = sqlx::query(
            "update members set role = $3, revision = $4, removed_at = $5 \
             where tenant_id = $1 and identity = $2",
        );
        let update = update.bind(tenant).bind(identity.to_string()).bind(member.role.as_str());
        tx.execute(update.bind(row::wide(member.revision)).bind(to.err())).await?;
        tx.commit().await?;
        Ok(self.announced(MemberChange::Done(member)).await)
    }
}

fn select<'a>(db: &'a TenantDb, identity: &Identity) -> Sql<'a> {
    let sql =
        sqlx::query("select * from members where tenant_id = $1 and identity = $2 and removed_at is null");
    sql.bind(db.tenant().as_str()).bind(identity.to_string())
}

/// Members who were not removed.
pub(in crate::postgres) async fn total(tx: &mut Tx, db: &TenantDb) -> StoreResult<u64> {
    let sql =
        sqlx::query("select count(*) as total from members where tenant_id = $1 and removed_at is null");
    tx.one(sql.bind(db.tenant().as_str()), |row| row::number(row, "total")).await
}

/// Makes a person a member who is none, or no longer.
pub(in crate::postgres) async fn put(
    tx: &mut Tx,
    db: &TenantDb,
    identity: &Identity,
    role: Role,
    now: DateTime<Utc>,
) -> StoreResult<Member> {
    let sql = sqlx::query(
        "insert into members (tenant_id, identity, role, created_at) values ($1, $2, $3, $4) \
         on conflict (tenant_id, identity) do update set role = excluded.role, removed_at = null, \
             revision = members.revision + 1, created_at = excluded.created_at returning *",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(identity.to_string()).bind(role.as_str());
    tx.one(sql.bind(now), read_member).await
}

fn read_member(row: &PgRow) -> sqlx::Result<Member> {
    Ok(Member {
        identity: row::parsed(row, "identity")?,
        role: row::parsed(row, "role")?,
        revision: row::number(row, "revision")?,
        created_at: row.try_get("created_at")?,
    })
}

#[async_trait::async_trait]
impl Members for PgCatalog {
    async fn member(&self, identity: &Identity) -> StoreResult<Option<Member>> {
        let mut tx = self.db.tx("catalog.member").await?;
        let found = tx.optional(select(&self.db, identity), read_member).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Identity>,
        limit: u32,
    ) -> StoreResult<Page<Member>> {
        let sql = sqlx::query(
            "select * from members where tenant_id = $1 and identity > $2 and removed_at is null \
             and ($3::text is null or role = $3) order by identity limit $4",
        );
        let after = after.map(ToString::to_string).unwrap_or_default();
        let sql = sql.bind(self.db.tenant().as_str()).bind(after);
        let sql = sql.bind(role.map(Role::as_str)).bind(i64::from(page::rows_for(limit)));
        let mut tx = self.db.tx("catalog.members").await?;
        let found = tx.all(sql, read_member).await?;
        tx.commit().await?;
        Ok(page::cut(found, limit, |member| member.identity.to_string()))
    }

    async fn member_insert(
        &self,
        identity: &Identity,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberAdded> {
        let mut tx = self.db.tx("catalog.member_insert").await?;
        tenant::lock(&mut tx, &self.db).await?;
        if tx.optional(select(&self.db, identity), read_member).await?.is_some() {
            return Ok(MemberAdded::Known);
        }
        let current =
            total(&mut tx, &self.db).await? + invitation::open_total(&mut tx, &self.db, now).await?;
        if let Some(over) = maximum.and_then(|maximum| OverQuota::members(current, maximum)) {
            return Ok(MemberAdded::OverQuota(over));
        }
        let member = put(&mut tx, &self.db, identity, role, now).await?;
        tx.commit().await?;
        Ok(self.announced(MemberAdded::New(member)).await)
    }

    async fn member_role_put(
        &self,
        identity: &Identity,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange> {
        self.member_change("catalog.member_role_put", identity, Ok(role), revision).await
    }

    async fn member_remove(
        &self,
        identity: &Identity,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange> {
        self.member_change("catalog.member_remove", identity, Err(now), revision).await
    }

    async fn invitation_insert(
        &self,
        new: &Invitation,
        sha256: &str,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<Invited> {
        invitation::insert(&self.db, new, sha256, (maximum, now)).await
    }

    async fn invitation(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Invitation>> {
        invitation::invitation(&self.db, id, now).await
    }

    async fn invitations(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Page<Invitation>> {
        invitation::page(&self.db, after, limit, now).await
    }

    async fn invitation_delete(&self, id: Uuid) -> StoreResult<bool> {
        let mut tx = self.db.tx("catalog.invitation_delete").await?;
        let was_there = invitation::delete(&mut tx, &self.db, id).await?;
        tx.commit().await?;
        Ok(was_there)
    }
}
