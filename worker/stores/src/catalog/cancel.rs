//! Cancellation: marks documents as failed, clears the outbox, and records marks of single jobs.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::webhook::EventType;

use super::documents::read_changed;
use super::history::{HISTORY_KEPT, HISTORY_PRUNED};
use super::webhook_events::{OF_JOBS, OF_UNDONE};
use super::{Catalog, Value};
use crate::model::{DocumentFault, DocumentStatus, Event, JobMark};
use crate::ports::StoreResult;

impl Catalog {
    /// Marks documents as failed that one of `jobs` was to ingest and that are pending or processing, and deliveries as
    /// cancelled that one of them was to make. Returns how many documents there were.
    pub async fn documents_failed(
        &self,
        jobs: &[JobId],
        fault: &DocumentFault,
        now: DateTime<Utc>,
    ) -> StoreResult<u64> {
        let update = self.sql(
            "update documents set status = 'failed', updated_at = $2, fault_code = $3, fault_detail = $4
             where tenant_id = $1 and job_id {in $5 uuid} and status in ('pending', 'processing')
             returning kb_id, document_id, revision, batch_id, job_id",
        );
        let update = update.bind(now).bind(&fault.code).bind(&fault.detail).bind_list(jobs);
        let told = (Some("failed"), Some(fault.code.as_str()));
        let events = self.document_events(OF_JOBS, EventType::DocumentFailed, told, now).bind_list(jobs);
        let deliveries = self.sql(
            "update webhook_deliveries set state = 'cancelled', last_error = 'cancelled', next_at = null,
                 ended_at = $2
             where tenant_id = $1 and state = 'queued' and run_id {in $3 uuid}",
        );
        let deliveries = deliveries.bind(now).bind_list(jobs);
        let mut tx = self.rows.write("catalog.documents_failed").await?;
        tx.execute_all(vec![deliveries, events]).await?;
        let failed = tx.all(update, read_changed).await?;
        tx.commit().await?;
        let count = failed.len() as u64;
        self.documents_told(failed, DocumentStatus::Failed, Some(fault), now);
        Ok(count)
    }

    /// Removes all of the tenant's jobs from the outbox, because its work is cancelled. Returns how many there
    /// were.
    pub async fn outbox_clear(&self) -> StoreResult<u64> {
        let delete = self.sql("delete from outbox where tenant_id = $1");
        self.rows.execute("catalog.outbox_clear", delete).await
    }

    /// Cancels all of the tenant's work that was enqueued before `now`: wherever a job is, it does not run any
    /// more, jobs in the outbox are removed, and documents that are pending or processing fail. Returns how many
    /// jobs were in the outbox.
    pub async fn cancel_everything(&self, fault: &DocumentFault, now: DateTime<Utc>) -> StoreResult<u64> {
        // One transaction, so that jobs, outbox and documents are never cancelled in part.
        let mut tx = self.rows.write("catalog.cancel_everything").await?;
        let all = self.sql(
            "update tenants set cancelled_at = case when cancelled_at > $2 then cancelled_at else $2 end
             where tenant_id = $1",
        );
        tx.execute(all.bind(now)).await?;
        // Older marks of single jobs are superseded by the cancellation of all.
        tx.execute(self.sql("delete from job_marks where tenant_id = $1 and marked_at < $2").bind(now))
            .await?;
        let undelivered = tx.execute(self.sql("delete from outbox where tenant_id = $1")).await?;
        tx.execute(self.sql("delete from unfinished_jobs where tenant_id = $1")).await?;
        let deliveries = self.sql(
            "update webhook_deliveries set state = 'cancelled', last_error = 'cancelled', next_at = null,
                 ended_at = $2
             where tenant_id = $1 and state in ('pending', 'queued')",
        );
        tx.execute(deliveries.bind(now)).await?;
        let told = (Some("failed"), Some(fault.code.as_str()));
        tx.execute(self.document_events(OF_UNDONE, EventType::DocumentFailed, told, now)).await?;
        let documents = self.sql(
            "update documents set status = 'failed', updated_at = $2, fault_code = $3, fault_detail = $4
             where tenant_id = $1 and status in ('pending', 'processing') and updated_at <= $2",
        );
        tx.execute(documents.bind(now).bind(&fault.code).bind(&fault.detail)).await?;
        tx.commit().await?;
        self.tell(Event::reset(now, "everything was cancelled"));
        Ok(self.announced(undelivered).await)
    }

    /// Records for each job that it is cancelled, or that it runs in spite of an earlier cancellation; the last
    /// mark counts.
    pub async fn jobs_mark(&self, jobs: &[JobId], mark: JobMark, now: DateTime<Utc>) -> StoreResult<()> {
        let mut tx = self.rows.write("catalog.jobs_mark").await?;
        let marks = self.sql(
            "insert into job_marks (tenant_id, job_id, mark, marked_at)
             select distinct $1, id, $3, $4 from {rows $2 as new (id uuid)} where true order by id
             on conflict (tenant_id, job_id) do update set mark = excluded.mark, marked_at = excluded.marked_at",
        );
        let rows = jobs.iter().map(|job| [("id", Value::from(*job))]);
        tx.execute(marks.bind_rows(rows).bind(mark.as_str()).bind(now)).await?;
        let last = self.sql(
            "update tenants set marked_at = case when marked_at > $2 then marked_at else $2 end
             where tenant_id = $1",
        );
        tx.execute(last.bind(now)).await?;
        let old = self.sql(
            "delete from job_marks where tenant_id = $1 and job_id in (
                 select job_id from job_marks where tenant_id = $1 and marked_at < $2 limit $3
                 {for update skip locked})",
        );
        tx.execute(old.bind(now - HISTORY_KEPT).bind(HISTORY_PRUNED)).await?;
        tx.commit().await?;
        self.announced(()).await;
        Ok(())
    }

    /// Removes the marks of jobs.
    pub async fn jobs_unmark(&self, jobs: &[JobId]) -> StoreResult<()> {
        let delete = self.sql("delete from job_marks where tenant_id = $1 and job_id {in $2 uuid}");
        self.rows.execute("catalog.jobs_unmark", delete.bind_list(jobs)).await.map(drop)
    }
}
