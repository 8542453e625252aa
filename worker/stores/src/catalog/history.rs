//! Job history: how jobs ended, and which were started again.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::envelope::StampedJob;
use jobs::queue::{ConflictDone, UniqueConflict};
use jobs::tenant::{KbId, TenantId};
use jobs::{BatchId, JobId};

use super::{Catalog, Catalogs, Row, Tx, Value};
use crate::model::{JobRecord, Redrives};
use crate::ports::StoreResult;

/// How long the record of a job is kept.
pub(super) const HISTORY_KEPT: TimeDelta = TimeDelta::days(30);
/// How many records of jobs a tenant keeps.
const HISTORY_KEPT_MAX: i64 = 10_000;
/// How many records that are too old or too many one call removes at most: more than are added between two.
pub(super) const HISTORY_PRUNED: i64 = 500;

/// Whether records are removed when this one is added: of sixteen, by their ids, one does it. Which are too many takes
/// a walk over all that a tenant keeps.
pub(crate) fn makes_room(id: JobId) -> bool {
    id.to_string().ends_with('0')
}

/// Writes nothing for a deleted tenant, which keeps no history. Updates a record only if it is that of a discarded
/// job, because no other job ends twice.
const INSERT: &str = "
insert into job_history as known (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail,
    created_at, started_at, finished_at, kb_id, parent_id, trace_id, batch_id)
select $1, id, kind, queue, state, attempts, code, detail, created_at, started_at, finished_at, kb, parent, trace,
    batch
from {rows $2 as new (id uuid, kind text, queue text, state text, attempts bigint, code text, detail text, \
created_at timestamptz, started_at timestamptz, finished_at timestamptz, kb text, parent uuid, trace text, batch uuid)}
where not exists (select 1 from tenants where tenant_id = $1 and deleted_at is not null)
order by id
on conflict (tenant_id, job_id) do update set state = excluded.state, attempts = excluded.attempts,
    error_code = excluded.error_code, error_detail = excluded.error_detail,
    started_at = excluded.started_at, finished_at = excluded.finished_at
where known.state = 'discarded' and excluded.finished_at >= known.finished_at";

/// The name of the call that stores records.
const OPERATION: &str = "catalog.history_insert";

impl Catalogs {
    /// Stores records of several tenants in one transaction, each tenant's as [`Catalog::history_insert`] does: all or
    /// none. Tenants are taken in their order, so that two such transactions cannot block each other.
    pub(crate) async fn histories_insert(
        &self,
        mut records: Vec<(&TenantId, &[JobRecord])>,
    ) -> StoreResult<()> {
        records.sort_unstable_by_key(|(tenant, _)| *tenant);
        let Some((first, _)) = records.first() else { return Ok(()) };
        let (mut tx, mut seen) = (self.of(first).rows.write(OPERATION).await?, *first);
        for (tenant, records) in &records {
            if *tenant != seen {
                tx.turn_to(tenant).await?;
                seen = tenant;
            }
            self.of(tenant).history_add(&mut tx, records).await?;
        }
        tx.commit().await
    }
}

impl Catalog {
    /// Stores job records, and the events that tell endpoints of them. A known job keeps its first record, unless it
    /// was discarded and started again since.
    pub async fn history_insert(&self, records: &[JobRecord]) -> StoreResult<()> {
        let mut tx = self.rows.write(OPERATION).await?;
        self.history_add(&mut tx, records).await?;
        tx.commit().await
    }

    async fn history_add(&self, tx: &mut Tx, records: &[JobRecord]) -> StoreResult<()> {
        let now = self.clock.now();
        let rows = records.iter().map(|record| {
            let (code, detail) = record.error.as_ref().map(|(code, text)| (&**code, &**text)).unzip();
            [
                ("id", Value::from(record.id)),
                ("kind", record.kind.as_str().into()),
                ("queue", record.queue.as_str().into()),
                ("state", record.state.as_str().into()),
                ("attempts", record.attempts.into()),
                ("code", code.into()),
                ("detail", detail.into()),
                ("created_at", record.created_at.into()),
                ("started_at", record.started_at.into()),
                ("finished_at", record.finished_at.into()),
                ("kb", record.kb.as_ref().map(KbId::as_str).into()),
                ("parent", record.parent.into()),
                ("trace", record.trace_id.as_deref().into()),
                ("batch", record.batch.map(BatchId::uuid).into()),
            ]
        });
        let insert = self.sql(INSERT).bind_rows(rows);
        let changed = match self.job_events(records, now) {
            Some(events) => tx.execute_all(vec![events, insert]).await?.last().copied().unwrap_or(0),
            None => tx.execute(insert).await?,
        };
        if changed > 0 && records.iter().any(|record| makes_room(record.id)) {
            self.history_prune(tx, now).await?;
        }
        // After their records: a job's work has ended when its last child has.
        let ended = records.iter().flat_map(|record| [Some(record.id), record.parent]).flatten();
        tx.execute(self.unfinished_ended(ended)).await.map(drop)
    }

    /// Stores records of those of `jobs` that the queue did not take because another job does the same: their work has
    /// ended, and what asks for them is told of the other.
    pub async fn history_same_work(
        &self,
        jobs: &[StampedJob],
        conflicts: &[UniqueConflict],
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let other = |job: &StampedJob| {
            let mut found = conflicts.iter().filter(|conflict| conflict.id == job.id());
            found.find(|conflict| conflict.done != ConflictDone::Replaced).map(|conflict| conflict.existing)
        };
        let own = jobs.iter().filter(|job| *job.tenant_id() == self.tenant);
        let records: Vec<_> = own.filter_map(|job| JobRecord::of_same_work(job, other(job)?, now)).collect();
        if records.is_empty() { Ok(()) } else { self.history_insert(&records).await }
    }

    /// Removes some records that are too old or too many, more than one call adds. Skips rows that another
    /// transaction is removing.
    async fn history_prune(&self, tx: &mut Tx, now: DateTime<Utc>) -> StoreResult<()> {
        let too_old = self.sql(
            "delete from job_history where tenant_id = $1 and job_id in (
                 select job_id from job_history where tenant_id = $1 and finished_at < $2
                 order by finished_at limit $3 {for update skip locked})",
        );
        tx.execute(too_old.bind(now - HISTORY_KEPT).bind(HISTORY_PRUNED)).await?;
        let too_many = self.sql(
            "delete from job_history where tenant_id = $1 and job_id in (
                 select job_id from job_history where tenant_id = $1
                 order by finished_at desc, job_id desc limit $3 offset $2 {for update skip locked})",
        );
        tx.execute(too_many.bind(HISTORY_KEPT_MAX).bind(HISTORY_PRUNED)).await.map(drop)
    }

    /// The record of a job; `None` when it has not ended or its record was pruned.
    pub async fn history(&self, id: JobId) -> StoreResult<Option<JobRecord>> {
        let select = self.sql("select * from job_history where tenant_id = $1 and job_id = $2").bind(id);
        self.rows.optional("catalog.history", select, read_record).await
    }

    /// The records of the jobs that a job enqueued, first ones first. At most `limit`.
    pub async fn history_children(&self, parent: JobId, limit: u32) -> StoreResult<Vec<JobRecord>> {
        let select = self.sql(
            "select * from job_history where tenant_id = $1 and parent_id = $2 order by created_at, job_id limit $3",
        );
        self.rows.all("catalog.history_children", select.bind(parent).bind(limit), read_record).await
    }

    /// Records that jobs were started again after they had been discarded or quarantined.
    pub async fn job_redriven(&self, jobs: &[JobId], by: &str, now: DateTime<Utc>) -> StoreResult<()> {
        let note = self.sql(
            "insert into job_redrives as known (tenant_id, job_id, times, last_at, last_by)
             select distinct $1, id, 1, $3, $4 from {rows $2 as new (id uuid)} where true order by id
             on conflict (tenant_id, job_id) do update set times = known.times + 1,
                 last_at = excluded.last_at, last_by = excluded.last_by",
        );
        let rows = jobs.iter().map(|job| [("id", Value::from(*job))]);
        let mut tx = self.rows.write("catalog.job_redriven").await?;
        tx.execute(note.bind_rows(rows).bind(now).bind(by)).await?;
        let too_old = self.sql(
            "delete from job_redrives where tenant_id = $1 and job_id in (
                 select job_id from job_redrives where tenant_id = $1 and last_at < $2
                 order by last_at limit $3 {for update skip locked})",
        );
        tx.execute(too_old.bind(now - HISTORY_KEPT).bind(HISTORY_PRUNED)).await?;
        tx.commit().await
    }

    /// How often a job was started again; `None` if never, or too long ago.
    pub async fn job_redrives(&self, id: JobId) -> StoreResult<Option<Redrives>> {
        let select =
            self.sql("select times, last_at, last_by from job_redrives where tenant_id = $1 and job_id = $2");
        let read = |row: &Row| {
            let (last_at, last_by) = (row.time("last_at")?, row.text("last_by")?);
            Ok(Redrives { times: row.number("times")?, last_at, last_by })
        };
        self.rows.optional("catalog.job_redrives", select.bind(id), read).await
    }
}

fn read_record(row: &Row) -> sqlx::Result<JobRecord> {
    Ok(JobRecord {
        id: row.parsed("job_id")?,
        kb: row.parsed_or_null("kb_id")?,
        kind: row.text("kind")?,
        parent: row.id_or_null("parent_id")?,
        trace_id: row.text_or_null("trace_id")?,
        batch: row.id_or_null("batch_id")?,
        queue: row.text("queue")?,
        state: row.text("state")?,
        attempts: row.number("attempts")?,
        error: row.text_or_null("error_code")?.zip(row.text_or_null("error_detail")?),
        created_at: row.time("created_at")?,
        started_at: row.time_or_null("started_at")?,
        finished_at: row.time("finished_at")?,
    })
}
