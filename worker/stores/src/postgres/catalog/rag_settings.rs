//! How the tenant wants its documents read.

use crate::error::StoreError;
use crate::model::RagSettings;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row::{json, number, wide};

const PUT: &str = "catalog.rag_settings_put";

pub(super) async fn get(db: &TenantDb) -> StoreResult<Option<(RagSettings, u64)>> {
    let sql = sqlx::query("select rag_settings, rag_revision from tenants where tenant_id = $1");
    let mut tx = db.tx("catalog.rag_settings").await?;
    let found = tx
        .optional(sql.bind(db.tenant().as_str()), |row| {
            Ok((json(row, "rag_settings")?, number(row, "rag_revision")?))
        })
        .await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn put(db: &TenantDb, settings: &RagSettings, revision: u64) -> StoreResult<bool> {
    let settings = serde_json::to_string(settings)
        .map_err(|_| StoreError::Conflict { operation: PUT, what: "the settings cannot be written" })?;
    let sql = sqlx::query(
        "update tenants set rag_settings = $3, rag_revision = rag_revision + 1 \
         where tenant_id = $1 and rag_revision = $2",
    );
    let mut tx = db.tx(PUT).await?;
    let sql = sql.bind(db.tenant().as_str()).bind(wide(revision)).bind(settings);
    let current = tx.execute(sql).await? == 1;
    tx.commit().await?;
    Ok(current)
}
