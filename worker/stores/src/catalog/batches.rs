//! Batches: how many of their documents are where, what failed, and their cancellation.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::tenant::KbId;
use jobs::{BatchId, JobId};

use super::documents::{Changed, read_changed};
use super::{Catalog, Row};
use crate::model::{Batch, BatchCounts, BatchFailure, BatchPace, DocumentFault, DocumentStatus, Page};
use crate::page;
use crate::ports::StoreResult;

/// How long it is known that a batch was cancelled.
const CANCELLED_KEPT: TimeDelta = TimeDelta::days(30);

/// The documents of some batches ($2), in one knowledge base ($3) or in all, by where they are.
const COUNTS: &str = "
select batch_id, kb_id, status as place, count(*) as total, max(updated_at) as last_at from documents
where tenant_id = $1 and batch_id {in $2 uuid} and ($3 is null or kb_id = $3) and deleting_at is null
group by batch_id, kb_id, status
union all
select batch_id, kb_id, 'deleted' as place, count(*) as total, max(updated_at) as last_at from documents
where tenant_id = $1 and batch_id {in $2 uuid} and ($3 is null or kb_id = $3) and deleting_at is not null
group by batch_id, kb_id
union all
select batch_id, kb_id, how as place, count(*) as total, max(left_at) as last_at from batch_left
where tenant_id = $1 and batch_id {in $2 uuid} and ($3 is null or kb_id = $3)
group by batch_id, kb_id, how
union all
select batch_id, kb_id, 'cancelled' as place, 0 as total, cancelled_at as last_at from batch_cancellations
where tenant_id = $1 and batch_id {in $2 uuid} and ($3 is null or kb_id = $3)";

/// A page of ids, newest first. Each part stops at the end of the page.
const IDS: &str = "
select batch_id from (
    select distinct batch_id from documents
    where tenant_id = $1 and batch_id is not null and ($2 is null or batch_id < $2) and ($3 is null or kb_id = $3)
    order by batch_id desc limit $4) as there
union
select batch_id from (
    select distinct batch_id from batch_left
    where tenant_id = $1 and ($2 is null or batch_id < $2) and ($3 is null or kb_id = $3)
    order by batch_id desc limit $4) as gone
order by batch_id desc limit $4";

struct Count {
    batch: BatchId,
    kb: KbId,
    place: String,
    total: u64,
    last_at: Option<DateTime<Utc>>,
}

fn read_count(row: &Row) -> sqlx::Result<Count> {
    Ok(Count {
        batch: row.parsed("batch_id")?,
        kb: row.parsed("kb_id")?,
        place: row.text("place")?,
        total: row.number("total")?,
        last_at: row.time_or_null("last_at")?,
    })
}

/// Adds a count to its batch.
fn add(batch: &mut Batch, count: Count) {
    let Count { kb, place, total, last_at, .. } = count;
    if place == "cancelled" {
        batch.cancelled_at = last_at;
        return;
    }
    if !batch.kbs.contains(&kb) {
        batch.kbs.push(kb);
    }
    batch.updated_at = batch.updated_at.max(last_at);
    let counts = &mut batch.counts;
    let place = match place.as_str() {
        "pending" => &mut counts.pending,
        "processing" => &mut counts.processing,
        "processed" => &mut counts.processed,
        "failed" => &mut counts.failed,
        "replaced" => &mut counts.replaced,
        _ => &mut counts.deleted,
    };
    *place += total;
}

impl Catalog {
    /// A batch, as far as it is in the knowledge base `only`, if one is given. `None` when it has no documents there.
    pub async fn batch(&self, id: BatchId, only: Option<&KbId>) -> StoreResult<Option<Batch>> {
        let found = self.batches_of("catalog.batch", &[id], only).await?;
        Ok(found.into_iter().find(|batch| !batch.kbs.is_empty()))
    }

    /// Whether there is such a batch, as far as it is in the knowledge base `only`, if one is given. Costs the same
    /// however many documents it has.
    pub async fn has_batch(&self, id: BatchId, only: Option<&KbId>) -> StoreResult<bool> {
        let select = self.sql(
            "select exists (select 1 from documents
                     where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3))
                 or exists (select 1 from batch_left
                     where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3)) as is_there",
        );
        let select = select.bind(id.uuid()).bind(only.map(KbId::as_str));
        self.rows.one("catalog.has_batch", select, |row| row.flag("is_there")).await
    }

    /// Batches, newest first, beginning after `after`. At most `limit` (1 to 1,000).
    pub async fn batches(
        &self,
        after: Option<BatchId>,
        only: Option<&KbId>,
        limit: u32,
    ) -> StoreResult<Page<Batch>> {
        let select = self.sql(IDS).bind(after.map(BatchId::uuid)).bind(only.map(KbId::as_str));
        let select = select.bind(page::rows_for(limit));
        let ids = self.rows.all("catalog.batches", select, |row| row.parsed::<BatchId>("batch_id")).await?;
        let page = page::cut(ids, limit, BatchId::to_string);
        let mut items = self.batches_of("catalog.batches", &page.items, only).await?;
        items.reverse();
        Ok(Page { items, next: page.next })
    }

    /// These batches, by id.
    async fn batches_of(
        &self,
        operation: &'static str,
        ids: &[BatchId],
        only: Option<&KbId>,
    ) -> StoreResult<Vec<Batch>> {
        let select = self.sql(COUNTS).bind_list(ids).bind(only.map(KbId::as_str));
        let mut found: BTreeMap<BatchId, Batch> = BTreeMap::new();
        for count in self.rows.all(operation, select, read_count).await? {
            let batch = found.entry(count.batch).or_insert_with_key(|id| Batch {
                id: *id,
                kbs: Vec::new(),
                counts: BatchCounts::default(),
                updated_at: None,
                cancelled_at: None,
            });
            add(batch, count);
        }
        Ok(found.into_values().collect())
    }

    /// How fast the documents of a batch ended since a moment, and the job of one that waits.
    pub async fn batch_pace(
        &self,
        id: BatchId,
        only: Option<&KbId>,
        since: DateTime<Utc>,
    ) -> StoreResult<BatchPace> {
        let ended = self.sql(
            "select count(*) as total, min(updated_at) as first_at from documents
             where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3) and deleting_at is null
               and status in ('processed', 'failed') and updated_at >= $4",
        );
        let waiting = self.sql(
            "select job_id from documents
             where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3) and deleting_at is null
               and status = 'pending' order by job_id limit 1",
        );
        let mut tx = self.rows.read("catalog.batch_pace").await?;
        let read = |row: &Row| Ok((row.number("total")?, row.time_or_null("first_at")?));
        let ended = ended.bind(id.uuid()).bind(only.map(KbId::as_str)).bind(since);
        let (ended, first_end) = tx.one(ended, read).await?;
        let waiting = waiting.bind(id.uuid()).bind(only.map(KbId::as_str));
        let waiting = tx.optional(waiting, |row| row.parsed::<JobId>("job_id")).await?;
        tx.commit().await?;
        Ok(BatchPace { ended, first_end, waiting })
    }

    /// Documents of a batch that failed, by id. At most `limit`.
    pub async fn batch_failures(
        &self,
        id: BatchId,
        only: Option<&KbId>,
        limit: u32,
    ) -> StoreResult<Vec<BatchFailure>> {
        let select = self.sql(
            "select kb_id, document_id, name, fault_code, fault_detail from documents
             where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3) and deleting_at is null
               and status = 'failed' order by kb_id, document_id limit $4",
        );
        let read = |row: &Row| {
            Ok(BatchFailure {
                kb: row.parsed("kb_id")?,
                document: row.parsed("document_id")?,
                name: row.text("name")?,
                code: row.text_or_null("fault_code")?.unwrap_or_default(),
                detail: row.text_or_null("fault_detail")?.unwrap_or_default(),
            })
        };
        let select = select.bind(id.uuid()).bind(only.map(KbId::as_str)).bind(limit);
        self.rows.all("catalog.batch_failures", select, read).await
    }

    /// Cancels a batch, as far as it is in the knowledge base `only`, if one is given: its documents that are on their
    /// way fail, and nothing more is accepted into it. Their revisions are raised, so that whatever still works on them
    /// finds its own outdated and stops. Returns the jobs that were to ingest them; `None` when there is no such batch.
    pub async fn batch_cancel(
        &self,
        id: BatchId,
        only: Option<&KbId>,
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Vec<JobId>>> {
        if self.batch(id, only).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.rows.write_bulk("catalog.batch_cancel").await?;
        // An upload that is being accepted has the lock: it is seen here, or it sees the cancellation.
        self.lock(&mut tx).await?;
        let cancelled = self.sql(
            "insert into batch_cancellations (tenant_id, batch_id, kb_id, cancelled_at)
             select distinct tenant_id, batch_id, kb_id, $4 from documents
             where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3)
             on conflict (tenant_id, batch_id, kb_id) do nothing",
        );
        let cancelled = cancelled.bind(id.uuid()).bind(only.map(KbId::as_str)).bind(now);
        tx.execute(cancelled).await?;
        let old = self.sql("delete from batch_cancellations where tenant_id = $1 and cancelled_at < $2");
        tx.execute(old.bind(now - CANCELLED_KEPT)).await?;
        let fail = self.sql(
            "update documents set status = 'failed', updated_at = $4, fault_code = $5, fault_detail = $6,
                 revision = revision + 1
             where tenant_id = $1 and batch_id = $2 and ($3 is null or kb_id = $3)
               and status in ('pending', 'processing') and deleting_at is null
             returning kb_id, document_id, revision, batch_id, job_id",
        );
        let fail = fail.bind(id.uuid()).bind(only.map(KbId::as_str)).bind(now);
        let failed: Vec<Changed> = tx.all(fail.bind(&fault.code).bind(&fault.detail), read_changed).await?;
        tx.commit().await?;
        let jobs = failed.iter().map(|changed| changed.job).collect();
        self.documents_told(failed, DocumentStatus::Failed, Some(fault), now);
        Ok(Some(jobs))
    }
}
