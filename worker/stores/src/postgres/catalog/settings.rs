//! What the queue has to know of the tenant.

use crate::error::StoreError;
use crate::model::TenantSettings;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row::wide;

const PUT: &str = "catalog.tenant_settings_put";

pub(super) async fn put(db: &TenantDb, settings: &TenantSettings, revision: u64) -> StoreResult<bool> {
    let limits = serde_json::to_string(&settings.limits)
        .map_err(|_| StoreError::Conflict { operation: PUT, what: "the limits cannot be written" })?;
    let sql = sqlx::query(
        "update tenants set plan = $3, limits = $4, status = $5, name = $6, revision = revision + 1 \
         where tenant_id = $1 and revision = $2",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(wide(revision)).bind(&settings.plan);
    let mut tx = db.tx(PUT).await?;
    let current =
        tx.execute(sql.bind(limits).bind(settings.status.as_str()).bind(&settings.name)).await? == 1;
    tx.commit().await?;
    Ok(current)
}

pub(in crate::postgres) async fn applied(db: &TenantDb, revision: u64) -> StoreResult<bool> {
    let sql = sqlx::query("update tenants set applied_revision = $2 where tenant_id = $1 and revision = $2");
    let mut tx = db.tx("catalog.tenant_settings_applied").await?;
    let current = tx.execute(sql.bind(db.tenant().as_str()).bind(wide(revision))).await? == 1;
    tx.commit().await?;
    Ok(current)
}
