//! Work that was called off: its documents, and what the queue does not have yet.

use chrono::{DateTime, Utc};
use jobs::JobId;

use crate::model::{DocumentFault, JobMark};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::tx::Sql;
use crate::retention::{HISTORY_KEPT, HISTORY_PRUNED};

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

/// In one transaction: what is cancelled is cancelled wherever it is, whatever happens next.
pub(super) async fn everything(db: &TenantDb, fault: &DocumentFault, now: DateTime<Utc>) -> StoreResult<u64> {
    let tenant = db.tenant().as_str();
    let mut tx = db.tx("catalog.cancel_everything").await?;
    let all =
        sqlx::query("update tenants set cancelled_at = greatest(cancelled_at, $2) where tenant_id = $1");
    tx.execute(all.bind(tenant).bind(now)).await?;
    // Everything that was said about single jobs before is said of all of them now.
    let marks = sqlx::query("delete from job_marks where tenant_id = $1 and marked_at < $2");
    tx.execute(marks.bind(tenant).bind(now)).await?;
    let outbox = sqlx::query("delete from outbox where tenant_id = $1");
    let undelivered = tx.execute(outbox.bind(tenant)).await?;
    let documents = sqlx::query(
        "update documents set status = 'failed', updated_at = $2, fault_code = $3, fault_detail = $4 \
         where tenant_id = $1 and status in ('pending', 'processing') and updated_at <= $2",
    );
    tx.execute(documents.bind(tenant).bind(now).bind(&fault.code).bind(&fault.detail)).await?;
    tx.commit().await?;
    Ok(undelivered)
}

pub(super) async fn mark(
    db: &TenantDb,
    jobs: &[JobId],
    mark: JobMark,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    let tenant = db.tenant().as_str();
    let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let mut tx = db.tx("catalog.jobs_mark").await?;
    let marks = sqlx::query(
        "insert into job_marks (tenant_id, job_id, mark, marked_at) \
         select distinct $1, id::uuid, $3, $4::timestamptz from unnest($2::text[]) id order by 2 \
         on conflict (tenant_id, job_id) do update set mark = excluded.mark, marked_at = excluded.marked_at",
    );
    tx.execute(marks.bind(tenant).bind(ids).bind(mark.as_str()).bind(now)).await?;
    let last = sqlx::query("update tenants set marked_at = greatest(marked_at, $2) where tenant_id = $1");
    tx.execute(last.bind(tenant).bind(now)).await?;
    let old = sqlx::query(
        "delete from job_marks where tenant_id = $1 and job_id in ( \
             select job_id from job_marks where tenant_id = $1 and marked_at < $2 limit $3 for update skip locked)",
    );
    tx.execute(old.bind(tenant).bind(now - HISTORY_KEPT).bind(HISTORY_PRUNED)).await?;
    tx.commit().await
}

pub(super) async fn unmark(db: &TenantDb, jobs: &[JobId]) -> StoreResult<()> {
    let sql = sqlx::query(
        "delete from job_marks where tenant_id = $1 and job_id = any (select unnest($2::text[])::uuid)",
    );
    let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    execute(db, "catalog.jobs_unmark", sql.bind(db.tenant().as_str()).bind(ids)).await.map(drop)
}
