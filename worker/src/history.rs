//! Writes job records to the catalog, in batches.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use jobs::error::report;
use jobs::tenant::{TenantContext, TenantId};
use stores::model::JobRecord;
use stores::{StoreError, Stores};
use tokio::sync::{mpsc, oneshot};

/// Capacity of the channel to the writer. When it is full, jobs wait before they finish.
const LINE: usize = 1_000;
/// Records that are written in one go at most.
const BATCH: usize = 1_000;
/// Into how many transactions they are divided, which go on at the same time, and how many tenants each has at least.
const PARTS: usize = 4;
const PART_TENANTS: usize = 100;
/// How long a job waits for its record to be written. After that the record is given up, because finishing the job
/// matters more.
const PATIENCE: Duration = Duration::from_secs(5);

struct Entry {
    tenant: TenantContext,
    record: JobRecord,
    written: oneshot::Sender<()>,
}

/// Channel to the writer task, which writes the records that arrive together in few transactions.
#[derive(Clone)]
pub(crate) struct History {
    line: mpsc::Sender<Entry>,
}

impl History {
    /// Starts the writer task. It ends when the last clone of the returned value is dropped.
    pub(crate) fn start(stores: Stores) -> Self {
        let (line, entries) = mpsc::channel(LINE);
        tokio::spawn(write_all(stores, entries));
        Self { line }
    }

    /// Returns when the record is written, so that a job never leaves the queue before its history can be
    /// read. A writer that cannot write delays a job by seconds at most, and then the record is lost, not the
    /// job.
    pub(crate) async fn record(&self, tenant: TenantContext, record: JobRecord) {
        let (written, done) = oneshot::channel();
        let entry = Entry { tenant, record, written };
        let write = async {
            if self.line.send(entry).await.is_ok() {
                let _ = done.await;
            }
        };
        if tokio::time::timeout(PATIENCE, write).await.is_err() {
            tracing::warn!("job history is slow, going on without this record");
        }
    }
}

/// What is to be written for a tenant.
struct OfTenant {
    tenant: TenantContext,
    records: Vec<JobRecord>,
    written: Vec<oneshot::Sender<()>>,
}

async fn write_all(stores: Stores, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let mut tenants: HashMap<TenantId, OfTenant> = HashMap::new();
        for Entry { tenant, record, written } in batch.drain(..) {
            let of = tenants.entry(tenant.tenant_id().clone());
            let of = of.or_insert_with(|| OfTenant { tenant, records: Vec::new(), written: Vec::new() });
            of.records.push(record);
            of.written.push(written);
        }
        let tenants: Vec<_> = tenants.into_values().collect();
        let parts = tenants.chunks(tenants.len().div_ceil(PARTS).max(PART_TENANTS));
        join_all(parts.map(|part| write(&stores, part))).await;
        // Also after an error: the jobs finish without their records.
        for written in tenants.into_iter().flat_map(|of| of.written) {
            let _ = written.send(());
        }
    }
}

/// Writes the records of some tenants in one transaction. When that is refused, it writes each tenant's alone: what
/// cannot be written for one tenant must not cost the others their records.
async fn write(stores: &Stores, part: &[OfTenant]) {
    let Err(error) = insert(stores, part).await else { return };
    // A catalog that is away would keep each of the tenants waiting for its deadline.
    if part.len() == 1 || matches!(error, StoreError::Unavailable { .. }) {
        let records: usize = part.iter().map(|of| of.records.len()).sum();
        let tenants = part.len();
        tracing::warn!(tenants, records, "job history was not written: {}", report(&error));
        return;
    }
    tracing::debug!(tenants = part.len(), "writing the history of each alone: {}", report(&error));
    for of in part {
        if let Err(error) = insert(stores, std::slice::from_ref(of)).await {
            let (tenant, records) = (of.tenant.tenant_id(), of.records.len());
            tracing::warn!(tenant.id = %tenant, records, "job history was not written: {}", report(&error));
        }
    }
}

async fn insert(stores: &Stores, part: &[OfTenant]) -> Result<(), StoreError> {
    stores.histories_insert(part.iter().map(|of| (&of.tenant, &*of.records))).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};
    use jobs::JobId;
    use jobs::clock::{Clock as _, SystemClock};
    use stores::direct::DirectSqlite;

    use super::*;

    fn record(now: DateTime<Utc>) -> JobRecord {
        JobRecord {
            id: JobId::generate(now),
            kind: "a".to_owned(),
            kb: None,
            parent: None,
            batch: None,
            trace_id: None,
            queue: "a".to_owned(),
            state: "completed".to_owned(),
            attempts: 1,
            error: None,
            created_at: now,
            started_at: None,
            finished_at: now,
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_for_one_costs_the_others_nothing() {
        let data = tempfile::tempdir().unwrap();
        let opened = stores::open_without_redis(data.path().to_owned(), Arc::new(SystemClock)).await.unwrap();
        let mut catalog = DirectSqlite::open(&data.path().join("catalog.db")).await.unwrap();
        catalog
            .execute(
                "create trigger refuses before insert on job_history when new.tenant_id = 'acme'
                 begin select raise(abort, 'no'); end",
            )
            .await
            .unwrap();
        let part = ["acme", "acme-2", "other"].map(|tenant| OfTenant {
            tenant: TenantContext::for_tests(tenant),
            records: vec![record(SystemClock.now()), record(SystemClock.now())],
            written: Vec::new(),
        });
        write(&opened.stores, &part).await;
        for (of, expected) in part.iter().zip([false, true, true]) {
            for record in &of.records {
                let found = opened.stores.scoped(&of.tenant).catalog().history(record.id).await.unwrap();
                assert_eq!(found.as_ref() == Some(record), expected, "{}", of.tenant.tenant_id());
            }
        }
    }
}
