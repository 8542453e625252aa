//! Work that was called off: its documents, and what the queue does not have yet.

use chrono::{DateTime, Utc};
use jobs::JobId;

use crate::model::DocumentFault;
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::tx::Sql;

pub(super) async fn documents_failed(
    db: &TenantDb,
    jobs: &[JobId],
    fault: &DocumentFault,
    now: DateTime<Utc>,
) -> StoreResult<u64> {
    let sql = sqlx::query(
        "update documents set status = 'failed', updated_at = $2, fault_code = $3, fault_detail = $4 \
         where tenant_id = $1 and job_id = any (select unnest($5::text[])::uuid) \
           and status in ('pending', 'processing')",
    );
    let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let sql = sql.bind(db.tenant().as_str()).bind(now).bind(&fault.code).bind(&fault.detail).bind(ids);
    execute(db, "catalog.documents_failed", sql).await
}

pub(super) async fn documents_all_failed(
    db: &TenantDb,
    last: DateTime<Utc>,
    fault: &DocumentFault,
    now: DateTime<Utc>,
) -> StoreResult<u64> {
    let sql = sqlx::query(
        "update documents set status = 'failed', updated_at = $2, fault_code = $3, fault_detail = $4 \
         where tenant_id = $1 and status in ('pending', 'processing') and updated_at <= $5",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(now).bind(&fault.code).bind(&fault.detail).bind(last);
    execute(db, "catalog.documents_all_failed", sql).await
}

pub(super) async fn outbox_clear(db: &TenantDb) -> StoreResult<u64> {
    let sql = sqlx::query("delete from outbox where tenant_id = $1").bind(db.tenant().as_str());
    execute(db, "catalog.outbox_clear", sql).await
}

async fn execute(db: &TenantDb, operation: &'static str, sql: Sql<'_>) -> StoreResult<u64> {
    let mut tx = db.tx(operation).await?;
    let rows = tx.execute(sql).await?;
    tx.commit().await?;
    Ok(rows)
}
