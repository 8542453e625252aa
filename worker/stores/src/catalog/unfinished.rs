//! Accepted jobs that the queue has, until their work has ended: what is given to it again when it lost them.
//!
//! A row takes the place of the job's row in the outbox. It goes with the record that the job has ended, unless a
//! document still waits for what the job left: its children, which have no rows of their own. So a row without a job
//! in the queue, and without a record, is work that was lost.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::queue::UniqueConflict;
use jobs::tenant::TenantId;
use jobs::webhook::{EventId, WebhookId};
use uuid::Uuid;

use super::{Catalog, Catalogs, Reader, Row, Sql, Value, sql};
use crate::model::{DocumentFault, QueuedDelivery, UnfinishedJob, UnfinishedKey};
use crate::ports::StoreResult;

/// Whether a document waits for a job, or for what the job left.
macro_rules! waited_for {
    ($job:literal) => {
        concat!(
            "exists (select 1 from documents as doc where doc.tenant_id = $1 and doc.job_id = ",
            $job,
            " and doc.status in ('pending', 'processing') and doc.deleting_at is null)"
        )
    };
}

/// Whether a job has ended, as far as the catalog knows.
macro_rules! ended {
    ($job:literal) => {
        concat!(
            "(exists (select 1 from job_history as past where past.tenant_id = $1 and past.job_id = ",
            $job,
            " and not exists (select 1 from job_redrives as again where again.tenant_id = $1
                 and again.job_id = past.job_id and again.last_at > past.finished_at))
             or exists (select 1 from documents as doc where doc.tenant_id = $1 and doc.job_id = ",
            $job,
            " and doc.status in ('processed', 'failed')))"
        )
    };
}

/// Delivered jobs of the outbox, but for those that have ended already.
const DELIVERED: &str = concat!(
    "insert into unfinished_jobs (tenant_id, job_id, wire, placed_at)
     select tenant_id, job_id, wire, $3 from outbox where tenant_id = $1 and job_id {in $2 uuid} and (",
    waited_for!("outbox.job_id"),
    " or not ",
    ended!("outbox.job_id"),
    ") on conflict (tenant_id, job_id) do nothing"
);

/// Jobs whose record was written, and the jobs that enqueued them.
const ENDED: &str = concat!(
    "delete from unfinished_jobs where tenant_id = $1 and job_id {in $2 uuid} and not ",
    waited_for!("unfinished_jobs.job_id"),
    " and ",
    ended!("unfinished_jobs.job_id"),
);

const STATE: &str = concat!(
    "select job_id, wire, again, placed_at, ",
    waited_for!("unfinished_jobs.job_id"),
    " as is_waited_for, ",
    ended!("unfinished_jobs.job_id"),
    " as has_ended from unfinished_jobs where tenant_id = $1 and job_id {in $2 uuid}"
);

const TAKE: &str = concat!(
    "update unfinished_jobs set again = unfinished_jobs.again + 1, placed_at = new.at,
         missing_since = coalesce(missing_since, $3)
     from {rows $2 as new (id uuid, again bigint, at timestamptz)}
     where unfinished_jobs.tenant_id = $1 and unfinished_jobs.job_id = new.id and unfinished_jobs.again = new.again
       and (",
    waited_for!("unfinished_jobs.job_id"),
    " or not ",
    ended!("unfinished_jobs.job_id"),
    ") returning unfinished_jobs.job_id"
);

impl Catalog {
    /// Remembers jobs that the queue has, or gets with the end of the job that runs, until their work has ended.
    pub async fn unfinished_put(&self, jobs: &[(JobId, &str)], now: DateTime<Utc>) -> StoreResult<()> {
        let put = self.sql(
            "insert into unfinished_jobs as known (tenant_id, job_id, wire, placed_at)
             select $1, new.id, new.wire, $3 from {rows $2 as new (id uuid, wire text)}
             where not exists (select 1 from tenants where tenant_id = $1 and deleted_at is not null) order by new.id
             on conflict (tenant_id, job_id) do update set placed_at = excluded.placed_at",
        );
        let rows = jobs.iter().map(|(id, wire)| [("id", Value::from(*id)), ("wire", (*wire).into())]);
        self.rows.execute("catalog.unfinished_put", put.bind_rows(rows).bind(now)).await.map(drop)
    }

    /// Takes jobs over from the outbox that the queue has. Removing them there is up to the caller, in the same
    /// transaction.
    pub(super) fn unfinished_delivered(&self, jobs: &[JobId], now: DateTime<Utc>) -> Sql<'_> {
        self.sql(DELIVERED).bind_list(jobs).bind(now)
    }

    /// Forgets those of `jobs` whose work has ended.
    pub(super) fn unfinished_ended(&self, jobs: impl IntoIterator<Item = JobId>) -> Sql<'_> {
        self.sql(ENDED).bind_list(jobs)
    }

    /// The jobs that the catalog expects in the queue, by id. At most `limit`.
    pub async fn unfinished(&self, limit: u32) -> StoreResult<Vec<JobId>> {
        let select =
            self.sql("select job_id from unfinished_jobs where tenant_id = $1 order by job_id limit $2");
        self.rows.all("catalog.unfinished", select.bind(limit), |row| row.parsed("job_id")).await
    }
}

fn read_unfinished(row: &Row) -> sqlx::Result<UnfinishedJob> {
    Ok(UnfinishedJob {
        id: row.parsed("job_id")?,
        wire: row.text("wire")?,
        again: row.number("again")?,
        placed_at: row.time("placed_at")?,
        is_waited_for: row.flag("is_waited_for")?,
        has_ended: row.flag("has_ended")?,
    })
}

/// Reads which jobs of all tenants the queue should have, and what became of them; has access to nothing else across
/// tenants. The bytes of a job grant no access.
pub struct UnfinishedJobs {
    catalogs: Catalogs,
}

impl UnfinishedJobs {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    /// Jobs that the queue got at `before` or earlier, by tenant and id, after `after`. At most `limit`. Tenants
    /// without such jobs cost nothing.
    pub async fn page(
        &self,
        before: DateTime<Utc>,
        after: Option<&UnfinishedKey>,
        limit: u32,
    ) -> StoreResult<Vec<UnfinishedKey>> {
        let select =
            sql("select tenant_id, job_id, missing_since is not null as is_missing from unfinished_jobs
             where (tenant_id, job_id) > ($1, $2) and placed_at <= $3 order by tenant_id, job_id limit $4");
        let select = match after {
            Some(key) => select.bind(key.tenant_id.as_str()).bind(key.job_id),
            None => select.bind("").bind(Uuid::nil()),
        };
        let read = |row: &Row| {
            let (tenant_id, job_id) = (row.parsed("tenant_id")?, row.parsed("job_id")?);
            Ok(UnfinishedKey { tenant_id, job_id, is_missing: row.flag("is_missing")? })
        };
        let rows = self.catalogs.db.reader(Reader::Relay);
        rows.all("unfinished.page", select.bind(before).bind(limit), read).await
    }

    /// What the catalog knows now of those of `jobs` that are still expected.
    pub async fn state(&self, tenant: &TenantId, jobs: &[JobId]) -> StoreResult<Vec<UnfinishedJob>> {
        let catalog = self.catalogs.of(tenant);
        let select = catalog.sql(STATE).bind_list(jobs);
        catalog.rows.all("unfinished.state", select, read_unfinished).await
    }

    /// Takes jobs to give them to the queue again, each with the time from which it is looked for next. Returns those
    /// that the caller has: of several that found the same job missing one gets it, and none when it has ended
    /// meanwhile.
    pub async fn take(
        &self,
        tenant: &TenantId,
        jobs: &[(&UnfinishedJob, DateTime<Utc>)],
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<JobId>> {
        let catalog = self.catalogs.of(tenant);
        let rows = jobs.iter().map(|(job, at)| {
            [("id", Value::from(job.id)), ("again", job.again.into()), ("at", (*at).into())]
        });
        let take = catalog.sql(TAKE).bind_rows(rows).bind(now);
        catalog.rows.returning("unfinished.take", take, |row| row.parsed("job_id")).await
    }

    /// Notes that the queue does not have jobs and does not get them.
    pub async fn missing(&self, tenant: &TenantId, jobs: &[JobId], now: DateTime<Utc>) -> StoreResult<()> {
        let catalog = self.catalogs.of(tenant);
        let update = catalog.sql(
            "update unfinished_jobs set missing_since = coalesce(missing_since, $3)
             where tenant_id = $1 and job_id {in $2 uuid}",
        );
        catalog.rows.execute("unfinished.missing", update.bind_list(jobs).bind(now)).await.map(drop)
    }

    /// Notes that the queue has jobs that it did not have.
    pub async fn found(&self, tenant: &TenantId, jobs: &[JobId]) -> StoreResult<()> {
        let catalog = self.catalogs.of(tenant);
        let update = catalog.sql(
            "update unfinished_jobs set missing_since = null where tenant_id = $1 and job_id {in $2 uuid}",
        );
        catalog.rows.execute("unfinished.found", update.bind_list(jobs)).await.map(drop)
    }

    /// As [`Catalog::history_same_work`].
    pub async fn same_work(
        &self,
        tenant: &TenantId,
        jobs: &[StampedJob],
        conflicts: &[UniqueConflict],
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        self.catalogs.of(tenant).history_same_work(jobs, conflicts, now).await
    }

    /// Forgets jobs because nothing is left for them to do.
    pub async fn forget(&self, tenant: &TenantId, jobs: &[JobId]) -> StoreResult<()> {
        let catalog = self.catalogs.of(tenant);
        let delete = catalog.sql("delete from unfinished_jobs where tenant_id = $1 and job_id {in $2 uuid}");
        catalog.rows.execute("unfinished.forget", delete.bind_list(jobs)).await.map(drop)
    }

    /// Forgets a job that will not be done; documents that wait for it fail, with the reason.
    pub async fn give_up(
        &self,
        tenant: &TenantId,
        job: JobId,
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        self.catalogs.of(tenant).documents_failed(&[job], fault, now).await?;
        self.forget(tenant, &[job]).await
    }

    /// Deliveries of webhooks that the queue has since `before`, of all tenants in order, after `after`. At most
    /// `limit`.
    pub async fn deliveries(
        &self,
        before: DateTime<Utc>,
        after: Option<&QueuedDelivery>,
        limit: u32,
    ) -> StoreResult<Vec<QueuedDelivery>> {
        let select = sql("select tenant_id, endpoint_id, event_id, run_id from webhook_deliveries
             where state = 'queued' and run_id is not null and (tenant_id, endpoint_id, event_id) > ($1, $2, $3)
                 and coalesce(last_at, occurred_at) <= $4
             order by tenant_id, endpoint_id, event_id limit $5");
        let select = match after {
            Some(last) => {
                select.bind(last.tenant_id.as_str()).bind(last.webhook.as_str()).bind(last.event.as_str())
            }
            None => select.bind("").bind("").bind(""),
        };
        let read = |row: &Row| {
            Ok(QueuedDelivery {
                tenant_id: row.parsed("tenant_id")?,
                webhook: row.parsed::<WebhookId>("endpoint_id")?,
                event: row.parsed::<EventId>("event_id")?,
                job: row.parsed("run_id")?,
            })
        };
        let rows = self.catalogs.db.reader(Reader::Relay);
        rows.all("unfinished.deliveries", select.bind(before).bind(limit), read).await
    }

    /// Makes deliveries pending again whose jobs the queue has lost, unless they have ended meanwhile. Returns how
    /// many.
    pub async fn deliveries_again(&self, tenant: &TenantId, jobs: &[JobId]) -> StoreResult<u64> {
        let catalog = self.catalogs.of(tenant);
        let update = catalog.sql(
            "update webhook_deliveries set state = 'pending', run_id = null, next_at = null
             where tenant_id = $1 and state = 'queued' and run_id {in $2 uuid}",
        );
        catalog.rows.execute("unfinished.deliveries_again", update.bind_list(jobs)).await
    }
}
