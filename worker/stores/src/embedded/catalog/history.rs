//! How jobs ended.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::tenant::{KbId, TenantId};
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use crate::embedded::column::{micros, moment, parsed, unsigned};
use crate::embedded::fault::Fault;
use crate::model::{JobRecord, Redrives};
use crate::retention::{HISTORY_KEPT, HISTORY_KEPT_MAX, HISTORY_PRUNED};

pub(super) async fn insert(catalog: &TenantCatalog, records: &[JobRecord]) -> Result<(), Fault> {
    let mut tx = catalog.file.begin().await?;
    for record in records {
        insert_one(&mut tx, &catalog.tenant, record).await?;
    }
    prune(&mut tx, &catalog.tenant, catalog.clock.now()).await?;
    Ok(tx.commit().await?)
}

async fn insert_one(tx: &mut SqliteConnection, tenant: &TenantId, record: &JobRecord) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_text,
                                  created_at_us, started_at_us, finished_at_us, kb_id)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         -- Of a tenant that is gone nothing is kept, not even that it went.
         WHERE NOT EXISTS (SELECT 1 FROM tenants WHERE tenant_id = ?1 AND deleted_at_us IS NOT NULL)
         ON CONFLICT (tenant_id, job_id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
             error_code = excluded.error_code, error_text = excluded.error_text,
             started_at_us = excluded.started_at_us, finished_at_us = excluded.finished_at_us
         -- Only what was started again ends twice.
         WHERE state = 'discarded' AND excluded.finished_at_us >= finished_at_us",
    )
    .bind(tenant.as_str())
    .bind(record.id.to_string())
    .bind(&record.kind)
    .bind(&record.queue)
    .bind(&record.state)
    .bind(record.attempts)
    .bind(record.error.as_ref().map(|(code, _)| code))
    .bind(record.error.as_ref().map(|(_, text)| text))
    .bind(micros(record.created_at))
    .bind(micros(record.started_at))
    .bind(micros(record.finished_at))
    .bind(record.kb.as_ref().map(KbId::as_str))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes some records that are too old or too many: more than one call adds.
async fn prune(tx: &mut SqliteConnection, tenant: &TenantId, now: DateTime<Utc>) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM job_history WHERE tenant_id = ?1 AND job_id IN (
             SELECT job_id FROM job_history WHERE tenant_id = ?1 AND finished_at_us < ?2
             ORDER BY finished_at_us LIMIT ?3)",
    )
    .bind(tenant.as_str())
    .bind(micros(now - HISTORY_KEPT))
    .bind(HISTORY_PRUNED)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "DELETE FROM job_history WHERE tenant_id = ?1 AND job_id IN (
             SELECT job_id FROM job_history WHERE tenant_id = ?1
             ORDER BY finished_at_us DESC, job_id DESC LIMIT ?3 OFFSET ?2)",
    )
    .bind(tenant.as_str())
    .bind(HISTORY_KEPT_MAX)
    .bind(HISTORY_PRUNED)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn redriven(
    catalog: &TenantCatalog,
    jobs: &[JobId],
    by: &str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut tx = catalog.file.begin().await?;
    for job in jobs {
        sqlx::query(
            "INSERT INTO job_redrives (tenant_id, job_id, times, last_at_us, last_by) VALUES (?, ?, 1, ?, ?)
             ON CONFLICT (tenant_id, job_id) DO UPDATE SET times = times + 1, last_at_us = excluded.last_at_us,
                 last_by = excluded.last_by",
        )
        .bind(catalog.tenant.as_str())
        .bind(job.to_string())
        .bind(micros(now))
        .bind(by)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query(
        "DELETE FROM job_redrives WHERE tenant_id = ?1 AND job_id IN (
             SELECT job_id FROM job_redrives WHERE tenant_id = ?1 AND last_at_us < ?2
             ORDER BY last_at_us LIMIT ?3)",
    )
    .bind(catalog.tenant.as_str())
    .bind(micros(now - HISTORY_KEPT))
    .bind(HISTORY_PRUNED)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(super) async fn redrives(catalog: &TenantCatalog, id: JobId) -> Result<Option<Redrives>, Fault> {
    let row: Option<(i64, i64, String)> = sqlx::query_as(
        "SELECT times, last_at_us, last_by FROM job_redrives WHERE tenant_id = ? AND job_id = ?",
    )
    .bind(catalog.tenant.as_str())
    .bind(id.to_string())
    .fetch_optional(catalog.file.read())
    .await?;
    let Some((times, last_at, last_by)) = row else { return Ok(None) };
    let times = unsigned(times, "job_redrives.times")?;
    Ok(Some(Redrives { times, last_at: moment(last_at, "job_redrives.last_at_us")?, last_by }))
}

#[derive(sqlx::FromRow)]
struct HistoryRow {
    kind: String,
    queue: String,
    state: String,
    attempts: u32,
    error_code: Option<String>,
    error_text: Option<String>,
    created_at_us: i64,
    started_at_us: i64,
    finished_at_us: i64,
    kb_id: Option<String>,
}

pub(super) async fn record(catalog: &TenantCatalog, id: JobId) -> Result<Option<JobRecord>, Fault> {
    let row: Option<HistoryRow> =
        sqlx::query_as("SELECT * FROM job_history WHERE tenant_id = ? AND job_id = ?")
            .bind(catalog.tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(catalog.file.read())
            .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(JobRecord {
        id,
        kind: row.kind,
        kb: row.kb_id.map(|kb| parsed(&kb, "job_history.kb_id")).transpose()?,
        queue: row.queue,
        state: row.state,
        attempts: row.attempts,
        error: row.error_code.zip(row.error_text),
        created_at: moment(row.created_at_us, "job_history.created_at_us")?,
        started_at: moment(row.started_at_us, "job_history.started_at_us")?,
        finished_at: moment(row.finished_at_us, "job_history.finished_at_us")?,
    }))
}
