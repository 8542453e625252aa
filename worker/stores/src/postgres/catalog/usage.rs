//! How much the tenant has, and whether it may have more.
//!
//! Documents, their bytes, knowledge bases and members are counted from their own rows while the tenant's row
//! is locked, so that of many requests at once exactly as many are taken as there is room for. A second number
//! kept beside the rows would be faster, and wrong for good after the first path that forgot it.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::plan::{Limits, Quota};
use jobs::tenant::KbId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::tenant;
use crate::model::{self, Counter, Derived, Growth, NewDocument, OverQuota, Usage};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row::{number, wide};
use crate::postgres::tx::{Sql, Tx};
use crate::retention::IDEMPOTENCY_KEPT;

/// What an acceptance counts from rows: documents, and knowledge bases.
const DOCUMENTS: [Quota; 2] = [Quota::MaxDocuments, Quota::StorageBytes];
const COUNTED: [Quota; 3] = [Quota::MaxDocuments, Quota::StorageBytes, Quota::Kbs];

pub(super) async fn usage(db: &TenantDb, now: DateTime<Utc>) -> StoreResult<Usage> {
    let sql = sqlx::query(
        "select documents, storage_bytes, derived_bytes, \
             (select count(*) from kbs where tenant_id = $1) as kbs, \
             (select count(*) from members where tenant_id = $1 and removed_at is null) \
                 + (select count(*) from invitations where tenant_id = $1 and expires_at > $4) as members, \
             (select count(*) from schedules where tenant_id = $1) as schedules, \
             (select count(*) from api_keys where tenant_id = $1 and revoked_at is null) as api_keys, \
             (select count(*) from idempotency where tenant_id = $1 and created_at > $5) as idempotency_keys, \
             coalesce((select amount from usage_counters \
                       where tenant_id = $1 and counter = 'jobs' and period = $2), 0) as daily_jobs, \
             coalesce((select amount from usage_counters \
                       where tenant_id = $1 and counter = 'api_calls' and period = $3), 0) as api_calls \
         from (select count(*) as documents, \
                   coalesce(sum(size_bytes + text_bytes + graph_bytes), 0)::bigint as storage_bytes, \
                   coalesce(sum(text_bytes + graph_bytes), 0)::bigint as derived_bytes \
               from documents where tenant_id = $1) as counted",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(Counter::Jobs.period(now));
    let mut tx = db.tx("catalog.usage").await?;
    let sql = sql.bind(Counter::ApiCalls.period(now)).bind(now).bind(now - IDEMPOTENCY_KEPT);
    let usage = tx.one(sql, read_usage).await?;
    tx.commit().await?;
    Ok(usage)
}

fn read_usage(row: &PgRow) -> sqlx::Result<Usage> {
    Ok(Usage {
        documents: number(row, "documents")?,
        storage_bytes: number(row, "storage_bytes")?,
        derived_bytes: number(row, "derived_bytes")?,
        kbs: number(row, "kbs")?,
        members: number(row, "members")?,
        schedules: number(row, "schedules")?,
        api_keys: number(row, "api_keys")?,
        idempotency_keys: number(row, "idempotency_keys")?,
        daily_jobs: number(row, "daily_jobs")?,
        api_calls: number(row, "api_calls")?,
    })
}

/// Takes the tenant's lock if something will be counted.
pub(super) async fn tenant_lock(
    tx: &mut Tx,
    db: &TenantDb,
    limits: &Limits,
    has_key: bool,
) -> StoreResult<()> {
    let is_counted = |quota: Quota| limits.maximum(quota).is_some();
    if COUNTED.into_iter().any(is_counted) || (has_key && is_counted(Quota::IdempotencyKeys)) {
        return tenant::lock(tx, db).await;
    }
    Ok(())
}

/// What stands against a knowledge base, schedule, API key or Idempotency-Key that this transaction, which has the
/// tenant's lock, has just made.
pub(super) async fn last_refused(
    tx: &mut Tx,
    db: &TenantDb,
    limits: &Limits,
    quota: Quota,
    now: DateTime<Utc>,
) -> StoreResult<Option<OverQuota>> {
    if limits.maximum(quota).is_none() {
        return Ok(None);
    }
    let sql = match quota {
        Quota::Kbs => sqlx::query("select count(*) as n from kbs where tenant_id = $1"),
        Quota::MaxSchedules => sqlx::query("select count(*) as n from schedules where tenant_id = $1"),
        Quota::MaxApiKeys => {
            sqlx::query("select count(*) as n from api_keys where tenant_id = $1 and revoked_at is null")
        }
        Quota::IdempotencyKeys => {
            sqlx::query("select count(*) as n from idempotency where tenant_id = $1 and created_at > $2")
        }
        _ => return Ok(None),
    };
    let sql = sql.bind(db.tenant().as_str());
    let sql = match quota {
        Quota::IdempotencyKeys => sql.bind(now - IDEMPOTENCY_KEPT),
        _ => sql,
    };
    let count = tx.one(sql, |row| number(row, "n")).await?;
    Ok(model::last_refused(limits, quota, count))
}

/// What stands against these documents, in the transaction that is about to write them and has the tenant's lock.
pub(super) async fn documents_refused(
    tx: &mut Tx,
    db: &TenantDb,
    limits: &Limits,
    (kb, new): (&KbId, &[NewDocument]),
) -> StoreResult<Option<OverQuota>> {
    if DOCUMENTS.into_iter().all(|quota| limits.maximum(quota).is_none()) {
        return Ok(None);
    }
    let sql = sqlx::query(
        "select documents, storage_bytes, known, known_bytes \
         from (select count(*) as documents, \
                   coalesce(sum(size_bytes + text_bytes + graph_bytes), 0)::bigint as storage_bytes \
               from documents where tenant_id = $1) as counted, \
              (select count(*) as known, coalesce(sum(size_bytes), 0)::bigint as known_bytes \
               from documents where tenant_id = $1 and kb_id = $2 and document_id = any($3)) as replaced",
    );
    let ids: Vec<&str> = new.iter().map(|document| document.id.as_str()).collect();
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(ids);
    let (usage, known, known_bytes) = tx.one(sql, read_documents).await?;
    Ok(Growth::of(new, known, known_bytes).refused(limits, &usage))
}

fn read_documents(row: &PgRow) -> sqlx::Result<(Usage, u64, u64)> {
    let (documents, storage_bytes) = (number(row, "documents")?, number(row, "storage_bytes")?);
    let usage = Usage { documents, storage_bytes, ..Usage::default() };
    Ok((usage, number(row, "known")?, number(row, "known_bytes")?))
}

pub(super) async fn derived_put(
    db: &TenantDb,
    (kb, id, revision): (&KbId, &DocumentId, u64),
    derived: Derived,
    limits: &Limits,
) -> StoreResult<Result<bool, OverQuota>> {
    let mut tx = db.tx("catalog.document_derived_put").await?;
    tenant_lock(&mut tx, db, limits, false).await?;
    let sql = sqlx::query(
        "select text_bytes, graph_bytes, \
             (select sum(size_bytes + text_bytes + graph_bytes)::bigint from documents \
              where tenant_id = $1) as storage_bytes \
         from documents where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4 for update",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str()).bind(wide(revision));
    let Some((text, graph, current)) = tx.optional(sql, read_derived).await? else { return Ok(Ok(false)) };
    let (before, after) = match derived {
        Derived::Text(bytes) => (text, bytes),
        Derived::Graph(bytes) => (graph, bytes),
    };
    if let Some(over) = model::storage_refused(limits, current, before, after) {
        return Ok(Err(over));
    }
    let (text, graph) = match derived {
        Derived::Text(_) => (after, graph),
        Derived::Graph(_) => (text, after),
    };
    let sql = sqlx::query(
        "update documents set text_bytes = $4, graph_bytes = $5 \
         where tenant_id = $1 and kb_id = $2 and document_id = $3",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(kb.as_str()).bind(id.as_str());
    tx.execute(sql.bind(wide(text)).bind(wide(graph))).await?;
    tx.commit().await?;
    Ok(Ok(true))
}

fn read_derived(row: &PgRow) -> sqlx::Result<(u64, u64, u64)> {
    Ok((number(row, "text_bytes")?, number(row, "graph_bytes")?, number(row, "storage_bytes")?))
}

/// Counts jobs that a request or a schedule asks for, unless they are more than the tenant may ask for today. Jobs
/// leave no
/// rows that could be counted, so this is the count itself. Its row stays locked to the end of the transaction:
/// call it last.
pub(in crate::postgres) async fn jobs_count(
    tx: &mut Tx,
    db: &TenantDb,
    limits: &Limits,
    jobs: usize,
    now: DateTime<Utc>,
) -> StoreResult<Option<OverQuota>> {
    if jobs == 0 {
        return Ok(None);
    }
    let maximum = limits.maximum(Quota::DailyJobs);
    if let Some(_amount) = counter_add(tx, db, Counter::Jobs, wide(jobs), maximum, now).await? {
        return Ok(None);
    }
    let current = counter(tx, db, Counter::Jobs, now).await?;
    Ok(maximum.map(|maximum| OverQuota { quota: Quota::DailyJobs, current, maximum }))
}

pub(super) async fn api_calls_add(db: &TenantDb, more: u64, now: DateTime<Utc>) -> StoreResult<u64> {
    let mut tx = db.tx("catalog.api_calls_add").await?;
    let added = match more {
        0 => None,
        more => counter_add(&mut tx, db, Counter::ApiCalls, wide(more), None, now).await?,
    };
    let total = match added {
        Some(total) => total,
        None => counter(&mut tx, db, Counter::ApiCalls, now).await?,
    };
    tx.commit().await?;
    Ok(total)
}

async fn counter(tx: &mut Tx, db: &TenantDb, counter: Counter, now: DateTime<Utc>) -> StoreResult<u64> {
    let sql = sqlx::query(
        "select coalesce(max(amount), 0) from usage_counters \
         where tenant_id = $1 and counter = $2 and period = $3",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(counter.as_str()).bind(counter.period(now));
    tx.one(sql, read_amount).await
}

/// Counts; `None`, and nothing was counted, when that would be more than `maximum`.
async fn counter_add(
    tx: &mut Tx,
    db: &TenantDb,
    counter: Counter,
    more: i64,
    maximum: Option<u64>,
    now: DateTime<Utc>,
) -> StoreResult<Option<u64>> {
    let sql: Sql<'_> = sqlx::query(
        "insert into usage_counters as known (tenant_id, counter, period, amount) \
         select $1, $2, $3, $4 where $4 <= $5 \
         on conflict (tenant_id, counter, period) do update set amount = known.amount + excluded.amount \
         where known.amount + excluded.amount <= $5 returning amount",
    );
    let sql = sql.bind(db.tenant().as_str()).bind(counter.as_str()).bind(counter.period(now)).bind(more);
    tx.optional(sql.bind(maximum.map_or(i64::MAX, wide)), read_amount).await
}

fn read_amount(row: &PgRow) -> sqlx::Result<u64> {
    let amount: i64 = row.try_get(0)?;
    Ok(amount.unsigned_abs())
}
