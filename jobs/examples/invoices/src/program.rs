//! The program: a worker for [`SendInvoice`] in the process that also enqueues the jobs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jobs::envelope::StampKeys;
use jobs::queue::QueueConfig;
use jobs::tenant::{Actor, Identity, Role, TenantId};
use worker::stores::StoresConfig;
use worker::{Worker, WorkerBuilder};

use crate::{Mailer, SendInvoice, Timing, Timings};

const TENANTS: [&str; 2] = ["acme", "globex"];
const INVOICES: u64 = 5;
/// Long enough for any machine; the program ends as soon as the work is done.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of a run.
#[derive(Debug)]
pub struct Summary {
    /// The invoices that were sent, as `tenant/invoice`, in order.
    pub sent: Vec<String>,
    /// The measurements of the timing layer.
    pub timings: Vec<Timings>,
}

/// Starts a worker on `queue` with its data in `data`, enqueues invoices for two tenants, and waits for the
/// last.
///
/// # Errors
/// When Redis does not answer or the data directory cannot be used.
pub async fn run(queue: QueueConfig, data: &Path) -> anyhow::Result<Summary> {
    let (mailer, timing) = (Mailer::default(), Timing::default());
    let keys = StampKeys::parse(&StampKeys::generate("example"))?; // yours: from the environment, `tenantry keygen`
    let stores = StoresConfig::embedded(data.to_owned(), queue.url.clone());
    let worker = equip(Worker::builder(queue, keys, stores), &mailer, &timing).start().await?;
    for tenant in TENANTS {
        enqueue(&worker, tenant).await?;
    }
    let mut sent = mailer.sent();
    let all = sent.wait_for(|sent| sent.len() as u64 == INVOICES * TENANTS.len() as u64);
    let sent = tokio::time::timeout(PATIENCE, all).await.context("the invoices took too long")??.clone();
    worker.stop(Duration::from_secs(5)).await;
    Ok(Summary { sent, timings: timing.totals() })
}

/// The job types, layers and state of this program, for its worker and for its tests.
pub fn equip(worker: WorkerBuilder, mailer: &Mailer, timing: &Timing) -> WorkerBuilder {
    worker.register::<SendInvoice>().layer(timing.clone()).state(mailer.clone())
}

/// What your product does when a customer asks for something: authenticate, authorize, enqueue.
async fn enqueue(worker: &Worker, tenant: &str) -> anyhow::Result<()> {
    let tenant: TenantId = tenant.parse()?;
    worker.tenants().ensure(&tenant, "A customer").await?;
    let ann = Actor::User(Identity::product("ann")?);
    let ann = worker.tenants().admit(&tenant, ann, Role::Editor).await?;
    for invoice_id in 1..=INVOICES {
        worker.enqueuer().enqueue(&ann, &SendInvoice { invoice_id }).await?;
    }
    Ok(())
}
