//! Usage and quotas of the tenant.
//!
//! Documents, their bytes, knowledge bases and members are counted from their own rows while the tenant's row (on
//! SQLite: the whole file) is locked, so that concurrent requests cannot exceed a quota together. A counter kept
//! beside the rows would be faster, and wrong for good after the first code path that forgot it.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::plan::{Limits, Quota};
use jobs::tenant::KbId;

use super::accept::IDEMPOTENCY_KEPT;
use super::{Catalog, Row, Tx};
use crate::model::{self, Counter, Derived, Growth, NewDocument, OverQuota, Usage};
use crate::ports::StoreResult;

/// Quotas that an acceptance checks by counting rows: documents and their bytes.
const DOCUMENTS: [Quota; 2] = [Quota::MaxDocuments, Quota::StorageBytes];
const COUNTED: [Quota; 3] = [Quota::MaxDocuments, Quota::StorageBytes, Quota::Kbs];

const USAGE: &str = "
select documents, storage_bytes, derived_bytes,
    (select count(*) from kbs where tenant_id = $1) as kbs,
    (select count(*) from members where tenant_id = $1 and removed_at is null)
        + (select count(*) from invitations where tenant_id = $1 and expires_at > $4) as members,
    (select count(*) from schedules where tenant_id = $1) as schedules,
    (select count(*) from api_keys where tenant_id = $1 and revoked_at is null) as api_keys,
    (select count(*) from idempotency where tenant_id = $1 and created_at > $5) as idempotency_keys,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'jobs' and period = $2), 0) as daily_jobs,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'api_calls' and period = $3), 0) as api_calls
from (select count(*) as documents,
          cast(coalesce(sum(size_bytes + text_bytes + graph_bytes), 0) as bigint) as storage_bytes,
          cast(coalesce(sum(text_bytes + graph_bytes), 0) as bigint) as derived_bytes
      from documents where tenant_id = $1) as counted";

fn read_usage(row: &Row) -> sqlx::Result<Usage> {
    Ok(Usage {
        documents: row.number("documents")?,
        storage_bytes: row.number("storage_bytes")?,
        derived_bytes: row.number("derived_bytes")?,
        kbs: row.number("kbs")?,
        members: row.number("members")?,
        schedules: row.number("schedules")?,
        api_keys: row.number("api_keys")?,
        idempotency_keys: row.number("idempotency_keys")?,
        daily_jobs: row.number("daily_jobs")?,
        api_calls: row.number("api_calls")?,
    })
}

impl Catalog {
    /// The tenant's usage: current totals, and the counters of the day and month (UTC) of `now`.
    pub async fn usage(&self, now: DateTime<Utc>) -> StoreResult<Usage> {
        let select = self.sql(USAGE).bind(Counter::Jobs.period(now)).bind(Counter::ApiCalls.period(now));
        self.rows.one("catalog.usage", select.bind(now).bind(now - IDEMPOTENCY_KEPT), read_usage).await
    }

    /// Takes the tenant's lock if a quota will be checked.
    pub(super) async fn lock_to_count(&self, tx: &mut Tx, limits: &Limits, has_key: bool) -> StoreResult<()> {
        let is_counted = |quota: Quota| limits.maximum(quota).is_some();
        if COUNTED.into_iter().any(is_counted) || (has_key && is_counted(Quota::IdempotencyKeys)) {
            return self.lock(tx).await;
        }
        Ok(())
    }

    /// The quota that a knowledge base, schedule, API key or Idempotency-Key exceeds that this transaction has just
    /// inserted. The transaction holds the tenant's lock.
    pub(super) async fn last_refused(
        &self,
        tx: &mut Tx,
        limits: &Limits,
        quota: Quota,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>> {
        if limits.maximum(quota).is_none() {
            return Ok(None);
        }
        let count = match quota {
            Quota::Kbs => self.sql("select count(*) as total from kbs where tenant_id = $1"),
            Quota::MaxSchedules => self.sql("select count(*) as total from schedules where tenant_id = $1"),
            Quota::MaxApiKeys => {
                self.sql("select count(*) as total from api_keys where tenant_id = $1 and revoked_at is null")
            }
            Quota::IdempotencyKeys => self
                .sql("select count(*) as total from idempotency where tenant_id = $1 and created_at > $2")
                .bind(now - IDEMPOTENCY_KEPT),
            _ => return Ok(None),
        };
        let count = tx.one(count, |row| row.number("total")).await?;
        Ok(model::last_refused(limits, quota, count))
    }

    /// The quota that these documents would exceed. To be called before they are written, in the same transaction,
    /// which holds the tenant's lock.
    pub(super) async fn documents_refused(
        &self,
        tx: &mut Tx,
        limits: &Limits,
        (kb, new): (&KbId, &[NewDocument]),
    ) -> StoreResult<Option<OverQuota>> {
        if DOCUMENTS.into_iter().all(|quota| limits.maximum(quota).is_none()) {
            return Ok(None);
        }
        let count = self.sql(
            "select documents, storage_bytes, known, known_bytes
             from (select count(*) as documents,
                       cast(coalesce(sum(size_bytes + text_bytes + graph_bytes), 0) as bigint) as storage_bytes
                   from documents where tenant_id = $1) as counted,
                  (select count(*) as known, cast(coalesce(sum(size_bytes), 0) as bigint) as known_bytes
                   from documents where tenant_id = $1 and kb_id = $2 and document_id {in $3}) as replaced",
        );
        let count = count.bind(kb.as_str()).bind_list(new.iter().map(|document| document.id.as_str()));
        let (usage, known, known_bytes) = tx.one(count, read_counted).await?;
        Ok(Growth::of(new, known, known_bytes).refused(limits, &usage))
    }

    /// Sets the number of derived bytes of revision `revision` of a document, in place of the number before. If the
    /// tenant would then exceed its storage quota, or if that is not the document's revision, nothing changes.
    /// Returns whether it is.
    pub async fn document_derived_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        derived: Derived,
        limits: &Limits,
    ) -> StoreResult<Result<bool, OverQuota>> {
        let mut tx = self.rows.write("catalog.document_derived_put").await?;
        self.lock_to_count(&mut tx, limits, false).await?;
        let select = self.sql(
            "select text_bytes, graph_bytes,
                 (select cast(sum(size_bytes + text_bytes + graph_bytes) as bigint) from documents
                  where tenant_id = $1) as storage_bytes
             from documents where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
             {for update}",
        );
        let select = select.bind(kb.as_str()).bind(id.as_str()).bind(revision);
        let Some((text, graph, current)) = tx.optional(select, read_derived).await? else {
            return Ok(Ok(false));
        };
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
        let update = self.sql(
            "update documents set text_bytes = $4, graph_bytes = $5
             where tenant_id = $1 and kb_id = $2 and document_id = $3",
        );
        tx.execute(update.bind(kb.as_str()).bind(id.as_str()).bind(text).bind(graph)).await?;
        tx.commit().await?;
        Ok(Ok(true))
    }

    /// Counts jobs of a request or schedule towards the day's quota, and returns the quota if they exceed it.
    /// Finished jobs leave no rows to count, so this uses a counter. Its row stays locked until the transaction
    /// ends: call it last.
    pub(super) async fn jobs_count(
        &self,
        tx: &mut Tx,
        limits: &Limits,
        jobs: usize,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>> {
        let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
        if jobs == 0 {
            return Ok(None);
        }
        let maximum = limits.maximum(Quota::DailyJobs);
        if self.counter_add(tx, Counter::Jobs, (jobs, maximum), now).await?.is_some() {
            return Ok(None);
        }
        let current = self.counter(tx, Counter::Jobs, now).await?;
        Ok(maximum.map(|maximum| OverQuota { quota: Quota::DailyJobs, current, maximum }))
    }

    /// Counts requests for the month (UTC) of `now`; 0 only reads. Returns the month's total, including requests
    /// counted by other processes.
    pub async fn api_calls_add(&self, more: u64, now: DateTime<Utc>) -> StoreResult<u64> {
        const ADD: &str = "catalog.api_calls_add";
        if more == 0 {
            let mut tx = self.rows.read(ADD).await?;
            let total = self.counter(&mut tx, Counter::ApiCalls, now).await?;
            tx.commit().await?;
            return Ok(total);
        }
        let mut tx = self.rows.write(ADD).await?;
        let total = match self.counter_add(&mut tx, Counter::ApiCalls, (more, None), now).await? {
            Some(total) => total,
            None => self.counter(&mut tx, Counter::ApiCalls, now).await?,
        };
        tx.commit().await?;
        Ok(total)
    }

    async fn counter(&self, tx: &mut Tx, counter: Counter, now: DateTime<Utc>) -> StoreResult<u64> {
        let select = self.sql(
            "select coalesce(max(amount), 0) as amount from usage_counters
             where tenant_id = $1 and counter = $2 and period = $3",
        );
        let select = select.bind(counter.as_str()).bind(counter.period(now));
        tx.one(select, |row| row.number("amount")).await
    }

    /// Adds to a counter. Returns the new value; `None`, and nothing was added, when that would exceed `maximum`.
    async fn counter_add(
        &self,
        tx: &mut Tx,
        counter: Counter,
        (more, maximum): (u64, Option<u64>),
        now: DateTime<Utc>,
    ) -> StoreResult<Option<u64>> {
        let add = self.sql(
            "insert into usage_counters as known (tenant_id, counter, period, amount)
             select $1, $2, $3, $4 where $4 <= $5
             on conflict (tenant_id, counter, period) do update set amount = known.amount + excluded.amount
             where known.amount + excluded.amount <= $5 returning amount",
        );
        let add = add.bind(counter.as_str()).bind(counter.period(now)).bind(more);
        tx.optional(add.bind(maximum.unwrap_or(u64::MAX)), |row| row.number("amount")).await
    }
}

fn read_counted(row: &Row) -> sqlx::Result<(Usage, u64, u64)> {
    let (documents, storage_bytes) = (row.number("documents")?, row.number("storage_bytes")?);
    let usage = Usage { documents, storage_bytes, ..Usage::default() };
    Ok((usage, row.number("known")?, row.number("known_bytes")?))
}

fn read_derived(row: &Row) -> sqlx::Result<(u64, u64, u64)> {
    Ok((row.number("text_bytes")?, row.number("graph_bytes")?, row.number("storage_bytes")?))
}
