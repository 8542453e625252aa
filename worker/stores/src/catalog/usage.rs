//! Usage and quotas of the tenant.
//!
//! Documents, their bytes, knowledge bases and members are counted from their own rows while the tenant's row (on
//! SQLite: the whole file) is locked, so that concurrent requests cannot exceed a quota together. A counter kept
//! beside the rows would be faster, and wrong for good after the first code path that forgot it.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::plan::{Limits, Quota};
use jobs::tenant::KbId;

use super::accept::{COUNTED, IDEMPOTENCY_KEPT, is_counted};
use super::{Catalog, Row, Sql, Tx};
use crate::model::{self, ApiCalls, Bookkeeping, Counter, Derived, OverQuota, Usage};
use crate::ports::StoreResult;

const USAGE: &str = "
select documents, storage_bytes, derived_bytes,
    (select count(*) from kbs where tenant_id = $1) as kbs,
    (select count(*) from members where tenant_id = $1 and removed_at is null)
        + (select count(*) from invitations where tenant_id = $1 and expires_at > $4) as members,
    (select count(*) from schedules where tenant_id = $1) as schedules,
    (select count(*) from api_keys where tenant_id = $1 and revoked_at is null) as api_keys,
    (select count(*) from webhook_endpoints where tenant_id = $1) as webhooks,
    (select count(*) from idempotency where tenant_id = $1 and created_at > $5) as idempotency_keys,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'jobs' and period = $2), 0) as daily_jobs,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'api_calls' and period = $2), 0) as calls_of_day,
    coalesce((select amount from usage_counters
              where tenant_id = $1 and counter = 'api_calls' and period = $3), 0) as calls_of_month
from (select count(*) as documents,
          cast(coalesce(sum(size_bytes + kept_bytes
              + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes), 0) as bigint) as storage_bytes,
          cast(coalesce(sum(text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes), 0) as bigint)
              as derived_bytes
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
        webhooks: row.number("webhooks")?,
        idempotency_keys: row.number("idempotency_keys")?,
        daily_jobs: row.number("daily_jobs")?,
        api_calls: ApiCalls { day: row.number("calls_of_day")?, month: row.number("calls_of_month")? },
    })
}

impl Catalog {
    /// The tenant's usage: current totals, and the counters of the day and month (UTC) of `now`.
    pub async fn usage(&self, now: DateTime<Utc>) -> StoreResult<Usage> {
        let select =
            self.sql(USAGE).bind(Counter::Jobs.period(now)).bind(Counter::ApiCallsOfMonth.period(now));
        self.rows.one("catalog.usage", select.bind(now).bind(now - IDEMPOTENCY_KEPT), read_usage).await
    }

    /// The quota that a knowledge base, schedule or API key exceeds that this transaction has just inserted. The
    /// transaction holds the tenant's lock.
    pub(super) async fn last_refused(
        &self,
        tx: &mut Tx,
        limits: &Limits,
        quota: Quota,
    ) -> StoreResult<Option<OverQuota>> {
        if limits.maximum(quota).is_none() {
            return Ok(None);
        }
        let count = match quota {
            Quota::Kbs => self.sql("select count(*) as total from kbs where tenant_id = $1"),
            Quota::MaxSchedules => self.sql("select count(*) as total from schedules where tenant_id = $1"),
            Quota::MaxWebhooks => {
                self.sql("select count(*) as total from webhook_endpoints where tenant_id = $1")
            }
            Quota::MaxApiKeys => {
                self.sql("select count(*) as total from api_keys where tenant_id = $1 and revoked_at is null")
            }
            _ => return Ok(None),
        };
        let count = tx.one(count, |row| row.number("total")).await?;
        Ok(model::last_refused(limits, quota, count))
    }

    /// Sets the number of derived bytes that are staged for revision `revision` of a document, in place of the number
    /// before. If the tenant would exceed its storage quota when they have taken the place of what is served, or if
    /// that is not the document's revision, nothing changes. Returns whether it is.
    ///
    /// What is served goes when the new revision takes its place, so it is left out of the comparison: a tenant at its
    /// quota can still replace documents. Until then both are counted.
    pub async fn document_derived_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        derived: Derived,
        limits: &Limits,
    ) -> StoreResult<Result<bool, OverQuota>> {
        let mut tx = self.rows.write("catalog.document_derived_put").await?;
        if is_counted(limits, &COUNTED) {
            self.lock(&mut tx).await?;
        }
        let select = self.sql(
            "select staged_text_bytes, staged_graph_bytes, text_bytes + graph_bytes + kept_bytes as served_bytes,
                 (select cast(sum(size_bytes + kept_bytes
                      + text_bytes + graph_bytes + staged_text_bytes + staged_graph_bytes) as bigint)
                  from documents where tenant_id = $1) as storage_bytes
             from documents where tenant_id = $1 and kb_id = $2 and document_id = $3 and revision = $4
             {for update}",
        );
        let select = select.bind(kb.as_str()).bind(id.as_str()).bind(revision);
        let Some((text, graph, served, current)) = tx.optional(select, read_derived).await? else {
            return Ok(Ok(false));
        };
        let (before, after) = match derived {
            Derived::Text(bytes) => (text, bytes),
            Derived::Graph(bytes) => (graph, bytes),
        };
        if let Some(over) = model::storage_refused(limits, current.saturating_sub(served), before, after) {
            return Ok(Err(OverQuota { current, ..over }));
        }
        let (text, graph) = match derived {
            Derived::Text(_) => (after, graph),
            Derived::Graph(_) => (text, after),
        };
        let update = self.sql(
            "update documents set staged_text_bytes = $4, staged_graph_bytes = $5
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
        if jobs == 0 || tx.execute(self.jobs_add(limits, jobs, now)).await? == 1 {
            return Ok(None);
        }
        self.jobs_refused(tx, limits, now).await
    }

    /// Counts jobs towards the day's quota. Changes no row when they exceed it.
    pub(super) fn jobs_add(&self, limits: &Limits, jobs: usize, now: DateTime<Utc>) -> Sql<'_> {
        let (jobs, maximum) = (u64::try_from(jobs).unwrap_or(u64::MAX), limits.maximum(Quota::DailyJobs));
        self.counter_add(Counter::Jobs, (jobs, maximum), now)
    }

    /// The day's quota, which some jobs exceeded.
    pub(super) async fn jobs_refused(
        &self,
        tx: &mut Tx,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<OverQuota>> {
        let current = self.counter(tx, Counter::Jobs, now).await?;
        let maximum = limits.maximum(Quota::DailyJobs);
        Ok(maximum.map(|maximum| OverQuota { quota: Quota::DailyJobs, current, maximum }))
    }

    /// The requests that were counted in the day and month (UTC) of `now`, by all processes.
    pub async fn api_calls(&self, now: DateTime<Utc>) -> StoreResult<ApiCalls> {
        let mut tx = self.rows.read("catalog.api_calls").await?;
        let total = self.counted_calls(&mut tx, now).await?;
        tx.commit().await?;
        Ok(total)
    }

    async fn counted_calls(&self, tx: &mut Tx, now: DateTime<Utc>) -> StoreResult<ApiCalls> {
        let day = self.counter(tx, Counter::ApiCallsOfDay, now).await?;
        Ok(ApiCalls { day, month: self.counter(tx, Counter::ApiCallsOfMonth, now).await? })
    }

    /// Writes what requests left to be written, in one transaction. Returns the total of
    /// [`Catalog::api_calls`] afterwards; `None` when no calls were among it.
    pub async fn bookkeep(&self, left: &Bookkeeping) -> StoreResult<Option<ApiCalls>> {
        let mut tx = self.rows.write("catalog.bookkeep").await?;
        let mut total = None;
        if left.calls > 0 {
            for counter in [Counter::ApiCallsOfMonth, Counter::ApiCallsOfDay] {
                tx.execute(self.counter_add(counter, (left.calls, None), left.at)).await?;
            }
            total = Some(self.counted_calls(&mut tx, left.at).await?);
        }
        let mut changes = Vec::new();
        // The first requests of a day: no earlier day is asked for any more.
        if total.is_some_and(|calls: ApiCalls| calls.day == left.calls) {
            let delete = self.sql(
                "delete from usage_counters
                 where tenant_id = $1 and counter = $2 and period < $3 and length(period) = 10",
            );
            let counter = Counter::ApiCallsOfDay;
            changes.push(delete.bind(counter.as_str()).bind(counter.period(left.at)));
        }
        if !left.keys_used.is_empty() {
            changes.push(self.keys_used(&left.keys_used));
        }
        if !left.delivered.is_empty() {
            changes.push(self.unfinished_delivered(&left.delivered, self.clock.now()));
            changes.push(self.outbox_remove(&left.delivered));
        }
        tx.execute_all(changes).await?;
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

    /// Adds to a counter. Changes no row when that would exceed `maximum`.
    fn counter_add(
        &self,
        counter: Counter,
        (more, maximum): (u64, Option<u64>),
        now: DateTime<Utc>,
    ) -> Sql<'_> {
        let add = self.sql(
            "insert into usage_counters as known (tenant_id, counter, period, amount)
             select $1, $2, $3, $4 where $4 <= $5
             on conflict (tenant_id, counter, period) do update set amount = known.amount + excluded.amount
             where known.amount + excluded.amount <= $5",
        );
        let add = add.bind(counter.as_str()).bind(counter.period(now)).bind(more);
        add.bind(maximum.unwrap_or(u64::MAX))
    }
}

fn read_derived(row: &Row) -> sqlx::Result<(u64, u64, u64, u64)> {
    let staged = (row.number("staged_text_bytes")?, row.number("staged_graph_bytes")?);
    Ok((staged.0, staged.1, row.number("served_bytes")?, row.number("storage_bytes")?))
}
