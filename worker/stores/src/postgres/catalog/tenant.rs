//! The tenant itself and its knowledge bases.

use chrono::{DateTime, Utc};
use jobs::tenant::{KbId, TenantStatus};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::model::{Kb, Tenant, WorkspaceId};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Tx;

/// From here to the end of this transaction no other one of the tenant has this lock, and what those that had it
/// committed is seen: what is counted or found to be free stays so. Call it before anything takes a weaker lock on
/// the tenant's row: two that want more at the same time would wait for each other.
pub(in crate::postgres) async fn lock(tx: &mut Tx, db: &TenantDb) -> StoreResult<()> {
    // Not "for update": that would also stand in the way of new rows that refer to the tenant.
    let sql = sqlx::query("select from tenants where tenant_id = $1 for no key update");
    tx.execute(sql.bind(db.tenant().as_str())).await.map(drop)
}

pub(super) async fn tenant(db: &TenantDb) -> StoreResult<Option<Tenant>> {
    let sql = sqlx::query(
        "select tenants.*, slug from tenants join slugs using (tenant_id) \
         where tenant_id = $1 and is_current and deleted_at is null",
    );
    let mut tx = db.tx("catalog.tenant").await?;
    let found = tx.optional(sql.bind(db.tenant().as_str()), read_tenant).await?;
    tx.commit().await?;
    Ok(found)
}

/// A whole row of `tenants`, with what the tenant is called.
pub(in crate::postgres) fn read_tenant(row: &PgRow) -> sqlx::Result<Tenant> {
    Ok(Tenant {
        id: row::tenant_id(row)?,
        name: row.try_get("name")?,
        slug: row.try_get("slug")?,
        plan: row.try_get("plan")?,
        status: row::parsed(row, "status")?,
        epoch: row::number(row, "epoch")?,
        limits: row::json(row, "limits")?,
        flows: row::json(row, "flows")?,
        revision: row::number(row, "revision")?,
        created_at: row.try_get("created_at")?,
    })
}

pub(super) async fn status_move(db: &TenantDb, from: TenantStatus, to: TenantStatus) -> StoreResult<bool> {
    let sql = sqlx::query(
        "update tenants set status = $3, revision = revision + 1 where tenant_id = $1 and status = $2",
    );
    let mut tx = db.tx("catalog.tenant_status_move").await?;
    let sql = sql.bind(db.tenant().as_str()).bind(from.as_str()).bind(to.as_str());
    let moved = tx.execute(sql).await? == 1;
    tx.commit().await?;
    Ok(moved)
}

pub(super) async fn kb_ensure(
    db: &TenantDb,
    id: &KbId,
    name: &str,
    workspace: &WorkspaceId,
    now: DateTime<Utc>,
) -> StoreResult<Kb> {
    let insert = sqlx::query(
        "insert into kbs (tenant_id, kb_id, name, workspace, created_at) values ($1, $2, $3, $4, $5) \
         on conflict (tenant_id, kb_id) do nothing",
    );
    let insert = insert.bind(db.tenant().as_str()).bind(id.as_str()).bind(name);
    let mut tx = db.tx("catalog.kb_ensure").await?;
    tx.execute(insert.bind(workspace.as_str()).bind(now)).await?;
    let select = sqlx::query(row::KB);
    let kb = tx.one(select.bind(db.tenant().as_str()).bind(id.as_str()), row::kb).await?;
    tx.commit().await?;
    Ok(kb)
}

/// A knowledge base, closed or not.
pub(super) async fn kb(db: &TenantDb, id: &KbId) -> StoreResult<Option<Kb>> {
    let sql = sqlx::query(row::KB);
    let mut tx = db.tx("catalog.kb").await?;
    let found = tx.optional(sql.bind(db.tenant().as_str()).bind(id.as_str()), row::kb).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn kb_rename(db: &TenantDb, id: &KbId, name: &str, revision: u64) -> StoreResult<bool> {
    let sql = sqlx::query(
        "update kbs set name = $4, revision = revision + 1 \
         where tenant_id = $1 and kb_id = $2 and revision = $3 and deleting_at is null",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(id.as_str()).bind(row::wide(revision));
    let mut tx = db.tx("catalog.kb_rename").await?;
    let current = tx.execute(sql.bind(name)).await? == 1;
    tx.commit().await?;
    Ok(current)
}

pub(super) async fn kbs(db: &TenantDb) -> StoreResult<Vec<Kb>> {
    let sql = sqlx::query(
        "select *, false as is_closed from kbs where tenant_id = $1 and deleting_at is null order by kb_id",
    );
    let mut tx = db.tx("catalog.kbs").await?;
    let kbs = tx.all(sql.bind(db.tenant().as_str()), row::kb).await?;
    tx.commit().await?;
    Ok(kbs)
}
