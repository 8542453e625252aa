//! What the tenant is called, and what the queue has to know of it.

use std::collections::BTreeMap;

use jobs::queue::Flow;

use super::slug;
use crate::error::StoreError;
use crate::flows;
use crate::model::{TenantChange, TenantSettings};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row::{json, wide};

const PUT: &str = "catalog.tenant_settings_put";

/// What became of it, and what the tenant was called before if it is called otherwise now.
pub(super) async fn put(
    db: &TenantDb,
    settings: &TenantSettings,
    revision: u64,
) -> StoreResult<(TenantChange, Option<String>)> {
    let limits = serde_json::to_string(&settings.limits)
        .map_err(|_| StoreError::Conflict { operation: PUT, what: "the limits cannot be written" })?;
    let sql = sqlx::query(
        "update tenants set plan = $3, limits = $4, status = $5, name = $6, revision = revision + 1 \
         where tenant_id = $1 and revision = $2",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(wide(revision)).bind(&settings.plan);
    let mut tx = db.tx(PUT).await?;
    let sql = sql.bind(limits).bind(settings.status.as_str()).bind(&settings.name);
    if tx.execute(sql).await? == 0 {
        return Ok((TenantChange::Stale, None));
    }
    let before = slug::slug(&mut tx, db).await?.filter(|before| *before != settings.slug);
    if before.is_some() && !slug::put(&mut tx, db, &settings.slug).await? {
        return Ok((TenantChange::SlugTaken, None));
    }
    tx.commit().await?;
    Ok((TenantChange::Done, before))
}

pub(in crate::postgres) async fn applied(db: &TenantDb, revision: u64) -> StoreResult<bool> {
    let sql = sqlx::query("update tenants set applied_revision = $2 where tenant_id = $1 and revision = $2");
    let mut tx = db.tx("catalog.tenant_settings_applied").await?;
    let current = tx.execute(sql.bind(db.tenant().as_str()).bind(wide(revision))).await? == 1;
    tx.commit().await?;
    Ok(current)
}

pub(super) async fn flow_put(db: &TenantDb, queue: Option<&str>, flow: Flow) -> StoreResult<bool> {
    const FLOW: &str = "catalog.flow_put";
    let mut tx = db.tx(FLOW).await?;
    let sql = sqlx::query(
        "select flows from tenants where tenant_id = $1 and deleted_at is null for no key update",
    );
    let known: Option<BTreeMap<String, Flow>> =
        tx.optional(sql.bind(db.tenant().as_str()), |row| json(row, "flows")).await?;
    let Some(known) = known else { return Ok(false) };
    let flows = serde_json::to_string(&flows::with(known, queue, flow))
        .map_err(|_| StoreError::Conflict { operation: FLOW, what: "the flows cannot be written" })?;
    let sql = sqlx::query("update tenants set flows = $2, revision = revision + 1 where tenant_id = $1");
    tx.execute(sql.bind(db.tenant().as_str()).bind(flows)).await?;
    tx.commit().await?;
    Ok(true)
}
