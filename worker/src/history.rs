//! Writes job records to the catalog, in batches.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use jobs::tenant::{TenantContext, TenantId};
use stores::Stores;
use stores::model::JobRecord;
use tokio::sync::{mpsc, oneshot};

/// Capacity of the channel to the writer. When it is full, jobs wait before they finish.
const LINE: usize = 1_000;
/// Records per write at most.
const BATCH: usize = 200;
/// Tenants whose records are written at the same time.
const TENANTS_AT_ONCE: usize = 4;
/// How long a job waits for its record to be written. After that the record is given up, because finishing the job
/// matters more.
const PATIENCE: Duration = Duration::from_secs(5);

struct Entry {
    tenant: TenantContext,
    record: JobRecord,
    written: oneshot::Sender<()>,
}

/// Channel to the writer task, which writes the records that arrive together in one statement for each tenant.
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

async fn write_all(stores: Stores, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let mut by_tenant: HashMap<TenantId, Vec<Entry>> = HashMap::new();
        for entry in batch.drain(..) {
            by_tenant.entry(entry.tenant.tenant_id().clone()).or_default().push(entry);
        }
        let each = stream::iter(by_tenant.into_values());
        each.for_each_concurrent(TENANTS_AT_ONCE, |entries| write(&stores, entries)).await;
    }
}

async fn write(stores: &Stores, entries: Vec<Entry>) {
    let Some(first) = entries.first() else { return };
    let catalog = stores.scoped(&first.tenant).catalog();
    let (records, written): (Vec<_>, Vec<_>) =
        entries.into_iter().map(|entry| (entry.record, entry.written)).unzip();
    if let Err(error) = catalog.history_insert(&records).await {
        tracing::warn!(
            records = records.len(),
            "job history was not written: {}",
            jobs::error::report(&error)
        );
    }
    // Also after an error: the jobs finish without their records.
    for written in written {
        let _ = written.send(());
    }
}
