//! How much the tenant has, and whether it may have more.
//!
//! A transaction that accepts holds the write lock of the file from its beginning, so what it counts is still
//! true when it commits. Documents, their bytes, knowledge bases and members are counted from their own rows:
//! a second number kept beside them would be faster, and wrong for good after the first path that forgot it.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::plan::{Limits, Quota};
use jobs::tenant::{KbId, TenantId};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::port::TenantCatalog;
use crate::embedded::column::{micros, signed, unsigned};
use crate::embedded::fault::Fault;
use crate::model::{self, Counter, Derived, Growth, NewDocument, OverQuota, Usage};
use crate::retention::IDEMPOTENCY_KEPT;

#[derive(sqlx::FromRow)]
struct UsageRow {
    documents: i64,
    storage_bytes: i64,
    derived_bytes: i64,
    kbs: i64,
    members: i64,
    schedules: i64,
    api_keys: i64,
    idempotency_keys: i64,
    daily_jobs: i64,
    api_calls: i64,
}

pub(super) async fn usage(catalog: &TenantCatalog, now: DateTime<Utc>) -> Result<Usage, Fault> {
    let row: UsageRow = sqlx::query_as(
        "SELECT count(*) AS documents, coalesce(sum(size_bytes + text_bytes + graph_bytes), 0) AS storage_bytes,
                coalesce(sum(text_bytes + graph_bytes), 0) AS derived_bytes,
                (SELECT count(*) FROM kbs WHERE tenant_id = ?1) AS kbs,
                (SELECT count(*) FROM members WHERE tenant_id = ?1 AND status = 'active')
                    + (SELECT count(*) FROM invitations WHERE tenant_id = ?1 AND expires_at_us > ?4) AS members,
                (SELECT count(*) FROM schedules WHERE tenant_id = ?1) AS schedules,
                (SELECT count(*) FROM api_keys
                 WHERE tenant_id = ?1 AND revoked_at_us IS NULL) AS api_keys,
                (SELECT count(*) FROM idempotency
                 WHERE tenant_id = ?1 AND created_at_us > ?5) AS idempotency_keys,
                coalesce((SELECT amount FROM usage_counters
                          WHERE tenant_id = ?1 AND counter = 'jobs' AND period = ?2), 0) AS daily_jobs,
                coalesce((SELECT amount FROM usage_counters
                          WHERE tenant_id = ?1 AND counter = 'api_calls' AND period = ?3), 0) AS api_calls
         FROM documents WHERE tenant_id = ?1",
    )
    .bind(catalog.tenant.as_str())
    .bind(Counter::Jobs.period(now))
    .bind(Counter::ApiCalls.period(now))
    .bind(micros(now))
    .bind(micros(now - IDEMPOTENCY_KEPT))
    .fetch_one(catalog.file.read())
    .await?;
    Ok(Usage {
        documents: unsigned(row.documents, "count(*)")?,
        storage_bytes: unsigned(row.storage_bytes, "sum(size_bytes)")?,
        derived_bytes: unsigned(row.derived_bytes, "sum(text_bytes)")?,
        kbs: unsigned(row.kbs, "count(*)")?,
        members: unsigned(row.members, "count(*)")?,
        schedules: unsigned(row.schedules, "count(*)")?,
        api_keys: unsigned(row.api_keys, "count(*)")?,
        idempotency_keys: unsigned(row.idempotency_keys, "count(*)")?,
        daily_jobs: unsigned(row.daily_jobs, "usage_counters.amount")?,
        api_calls: unsigned(row.api_calls, "usage_counters.amount")?,
    })
}

/// What stands against a knowledge base, schedule, API key or Idempotency-Key that this transaction has just made.
pub(super) async fn last_refused(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    limits: &Limits,
    quota: Quota,
    now: DateTime<Utc>,
) -> Result<Option<OverQuota>, Fault> {
    if limits.maximum(quota).is_none() {
        return Ok(None);
    }
    let count = match quota {
        Quota::Kbs => {
            sqlx::query_scalar("SELECT count(*) FROM kbs WHERE tenant_id = ?").bind(tenant.as_str())
        }
        Quota::MaxSchedules => {
            sqlx::query_scalar("SELECT count(*) FROM schedules WHERE tenant_id = ?").bind(tenant.as_str())
        }
        Quota::MaxApiKeys => {
            sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE tenant_id = ? AND revoked_at_us IS NULL")
                .bind(tenant.as_str())
        }
        Quota::IdempotencyKeys => {
            sqlx::query_scalar("SELECT count(*) FROM idempotency WHERE tenant_id = ? AND created_at_us > ?")
                .bind(tenant.as_str())
                .bind(micros(now - IDEMPOTENCY_KEPT))
        }
        _ => return Ok(None),
    };
    let count: i64 = count.fetch_one(tx).await?;
    Ok(model::last_refused(limits, quota, unsigned(count, "count(*)")?))
}

/// What stands against these documents, in the transaction that is about to write them.
pub(super) async fn documents_refused(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    limits: &Limits,
    (kb, new): (&KbId, &[NewDocument]),
) -> Result<Option<OverQuota>, Fault> {
    let limited = [Quota::MaxDocuments, Quota::StorageBytes];
    if limited.into_iter().all(|quota| limits.maximum(quota).is_none()) {
        return Ok(None);
    }
    let (documents, storage_bytes): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(size_bytes + text_bytes + graph_bytes), 0)
         FROM documents WHERE tenant_id = ?",
    )
    .bind(tenant.as_str())
    .fetch_one(&mut *tx)
    .await?;
    let (mut known, mut known_bytes) = (0, 0);
    for document in new {
        let size: Option<i64> = sqlx::query_scalar(
            "SELECT size_bytes FROM documents WHERE tenant_id = ? AND kb_id = ? AND document_id = ?",
        )
        .bind(tenant.as_str())
        .bind(kb.as_str())
        .bind(document.id.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(size) = size {
            known += 1;
            known_bytes += unsigned::<u64>(size, "documents.size_bytes")?;
        }
    }
    let usage = Usage {
        documents: unsigned(documents, "count(*)")?,
        storage_bytes: unsigned(storage_bytes, "sum(size_bytes)")?,
        ..Usage::default()
    };
    Ok(Growth::of(new, known, known_bytes).refused(limits, &usage))
}

pub(super) async fn derived_put(
    catalog: &TenantCatalog,
    (kb, id, revision): (&KbId, &DocumentId, u64),
    derived: Derived,
    limits: &Limits,
) -> Result<Result<bool, OverQuota>, Fault> {
    let mut tx = catalog.file.begin().await?;
    let counted: Option<(i64, i64, i64)> = sqlx::query_as(
        "SELECT text_bytes, graph_bytes,
                (SELECT sum(size_bytes + text_bytes + graph_bytes) FROM documents WHERE tenant_id = ?1)
         FROM documents WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3 AND revision = ?4",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(id.as_str())
    .bind(signed(revision, "documents.revision")?)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((text, graph, current)) = counted else { return Ok(Ok(false)) };
    let (before, after) = match derived {
        Derived::Text(bytes) => (text, bytes),
        Derived::Graph(bytes) => (graph, bytes),
    };
    let (before, current) =
        (unsigned(before, "documents.text_bytes")?, unsigned(current, "sum(size_bytes)")?);
    if let Some(over) = model::storage_refused(limits, current, before, after) {
        return Ok(Err(over));
    }
    let after = signed(after, "documents.text_bytes")?;
    let (text, graph) = match derived {
        Derived::Text(_) => (after, graph),
        Derived::Graph(_) => (text, after),
    };
    sqlx::query(
        "UPDATE documents SET text_bytes = ?4, graph_bytes = ?5
         WHERE tenant_id = ?1 AND kb_id = ?2 AND document_id = ?3",
    )
    .bind(catalog.tenant.as_str())
    .bind(kb.as_str())
    .bind(id.as_str())
    .bind(text)
    .bind(graph)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Ok(true))
}

/// Counts jobs that a request or a schedule asks for, unless they are more than the tenant may ask for today. Jobs
/// leave no
/// rows that could be counted, so this is the count itself.
pub(in crate::embedded) async fn jobs_count(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    limits: &Limits,
    jobs: usize,
    now: DateTime<Utc>,
) -> Result<Option<OverQuota>, Fault> {
    let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
    if jobs == 0 {
        return Ok(None);
    }
    let amount = counter_add(tx, tenant, Counter::Jobs, jobs, now).await?;
    // Too many: the transaction is rolled back, and the count with it.
    let over = limits.maximum(Quota::DailyJobs).filter(|maximum| amount > *maximum);
    Ok(over.map(|maximum| OverQuota { quota: Quota::DailyJobs, current: amount - jobs, maximum }))
}

pub(super) async fn api_calls_add(
    catalog: &TenantCatalog,
    more: u64,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    if more > 0 {
        return counter_add(catalog.file.write(), &catalog.tenant, Counter::ApiCalls, more, now).await;
    }
    let amount: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(amount), 0) FROM usage_counters
         WHERE tenant_id = ? AND counter = ? AND period = ?",
    )
    .bind(catalog.tenant.as_str())
    .bind(Counter::ApiCalls.as_str())
    .bind(Counter::ApiCalls.period(now))
    .fetch_one(catalog.file.read())
    .await?;
    unsigned(amount, "usage_counters.amount")
}

async fn counter_add(
    writer: impl SqliteExecutor<'_>,
    tenant: &TenantId,
    counter: Counter,
    more: u64,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let amount: i64 = sqlx::query_scalar(
        "INSERT INTO usage_counters (tenant_id, counter, period, amount) VALUES (?, ?, ?, ?)
         ON CONFLICT (tenant_id, counter, period) DO UPDATE SET amount = amount + excluded.amount
         RETURNING amount",
    )
    .bind(tenant.as_str())
    .bind(counter.as_str())
    .bind(counter.period(now))
    .bind(signed(more, "usage_counters.amount")?)
    .fetch_one(writer)
    .await?;
    unsigned(amount, "usage_counters.amount")
}
