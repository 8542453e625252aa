//! Tests for jobs and layers: no servers, no waiting, and a clock that the test moves.
//!
//! A [`TestBench`] has a queue in memory and embedded stores in a temporary directory. Its jobs take the path of
//! every job: stamped, fetched, verified against the directory, through the layers to the handler, finished. Jobs
//! run one at a time, in an order that depends on nothing but the calls.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use jobs::clock::{ManualClock, SharedClock};
use jobs::envelope::{EnqueueOptions, Envelope, StampKeys, Stamper, WireEnvelope};
use jobs::queue::{FetchedJob, Finish, MemoryQueue, Verdict};
use jobs::tenant::{Actor, Identity, Role, TenantContext, TenantId};
use jobs::{Enqueuer, Job, JobId};
use stores::{Opened, StoresConfig};
use tempfile::TempDir;

use crate::builder::WorkerBuilder;
use crate::process::Processor;
use crate::tenants::Tenants;

/// When a bench's clock starts: 2026-01-01, midnight UTC.
const START_MS: i64 = 1_767_225_600_000;
/// Attempts after which a run counts as endless.
const ENDLESS: usize = 100_000;

/// A worker for tests. It runs jobs only when it is told to.
///
/// ```
/// # use jobs::{Job, JobError};
/// # use serde::{Deserialize, Serialize};
/// # use worker::{Handler, JobContext};
/// # #[derive(Serialize, Deserialize)]
/// # struct SendInvoice { invoice_id: u64 }
/// # impl Job for SendInvoice { const TYPE: &'static str = "invoice.send"; }
/// # impl Handler for SendInvoice {
/// #     async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
/// #         if cx.attempt() == 1 { Err(JobError::retry("the mail server is busy")) } else { Ok(()) }
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use worker::TestBench;
///
/// let bench = TestBench::start(|worker| worker.register::<SendInvoice>()).await;
/// let acme = bench.tenant("acme").await;
/// let invoice = bench.enqueue(&acme, &SendInvoice { invoice_id: 7 }).await;
///
/// let report = bench.run_until_empty().await;
/// assert_eq!(report.retried()[0].0, invoice); // the mail server was busy
/// bench.advance(Duration::from_secs(60));
/// assert_eq!(bench.run_until_empty().await.completed(), [invoice]);
/// # }
/// ```
pub struct TestBench {
    queue: MemoryQueue,
    clock: ManualClock,
    opened: Opened,
    tenants: Tenants,
    processor: Processor,
    // Deleted with all its files when the bench is dropped.
    _data: TempDir,
}

impl TestBench {
    /// A bench for the job types, layers and state that `equip` gives the worker. Let your program call the same
    /// function, so that the test covers the program's own setup.
    ///
    /// # Panics
    /// When the temporary directory cannot be created.
    pub async fn start(equip: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let manual = ManualClock::at(DateTime::from_timestamp_millis(START_MS).unwrap_or_default());
        let clock: SharedClock = Arc::new(manual.clone());
        let keys = StampKeys::parse(&StampKeys::generate("bench")).expect("a generated key is a key");
        let nowhere = jobs::queue::config(String::new().into());
        let files = StoresConfig::embedded(data.path().to_owned(), String::new().into());
        let opened = stores::open_without_redis(data.path().to_owned(), Arc::clone(&clock)).await;
        let opened = opened.expect("stores in a temporary directory");
        let worker = equip(WorkerBuilder::new(nowhere, keys, files)).clock(Arc::clone(&clock));
        let (processor, tenants) = worker.wire(&opened);
        let queue = MemoryQueue::new(Arc::clone(&clock));
        Self { queue, clock: manual, opened, tenants, processor, _data: data }
    }

    /// An administrator of the tenant `id`, which is provisioned if it is not there.
    ///
    /// # Panics
    /// When `id` is not a tenant id.
    pub async fn tenant(&self, id: &str) -> TenantContext {
        let tenant = id.parse().expect("a test names a valid tenant");
        self.tenants.ensure(&tenant, id).await.expect("embedded stores take a tenant");
        let test = Actor::User(Identity::product("test").expect("a name"));
        let who = self.tenants.admit(&tenant, test, Role::Admin).await;
        who.expect("a provisioned tenant is active")
    }

    /// Enqueues a job, due at once.
    ///
    /// # Panics
    /// When the tenant's limits or permissions do not allow it.
    pub async fn enqueue<J: Job>(&self, tenant: &TenantContext, job: &J) -> JobId {
        self.enqueue_with(tenant, job, EnqueueOptions::default()).await
    }

    /// Enqueues a job with options that differ from those of its type.
    ///
    /// # Panics
    /// As [`TestBench::enqueue`].
    pub async fn enqueue_with<J: Job>(
        &self,
        tenant: &TenantContext,
        job: &J,
        options: EnqueueOptions,
    ) -> JobId {
        let enqueued = self.enqueuer().enqueue_with(tenant, job, options).await;
        enqueued.expect("the tenant may have the job")
    }

    /// Signs and seals with the worker's keys, for code under test that does.
    #[must_use]
    pub fn stamper(&self) -> &Stamper {
        &self.processor.shared.stamper
    }

    /// An enqueuer for code under test that enqueues by itself.
    #[must_use]
    pub fn enqueuer(&self) -> Enqueuer {
        Enqueuer::for_tests(self.processor.shared.stamper.clone(), self.queue.clone())
    }

    /// Runs jobs, and those that they enqueue, until none may run now. Jobs that are due later stay in the queue.
    ///
    /// # Panics
    /// After 100,000 attempts: some job comes back without end.
    pub async fn run_until_empty(&self) -> Report {
        let mut runs = Vec::new();
        let skills = self.processor.registry.skills();
        self.queue.declare(&skills);
        while let Some(job) = self.queue.claim(&skills, 1, 1).pop() {
            assert!(runs.len() < ENDLESS, "the queue is not empty after {ENDLESS} attempts");
            let finish = self.processor.process(job.clone().into()).await;
            self.queue.finish(&job, &finish).expect("a handler leaves children of its own tenant");
            runs.push(run(&job.into(), finish));
        }
        Report { runs, next_in: self.queue.next_in() }
    }

    /// Moves the clock to the due time of the next job and runs all that may run then, until the queue is empty:
    /// retries to their end.
    ///
    /// # Panics
    /// As [`TestBench::run_until_empty`].
    pub async fn run_to_the_end(&self) -> Report {
        let mut report = self.run_until_empty().await;
        while let Some(wait) = report.next_in {
            assert!(report.runs.len() < ENDLESS, "the queue is not empty after {ENDLESS} attempts");
            self.advance(wait);
            let more = self.run_until_empty().await;
            report.runs.extend(more.runs);
            report.next_in = more.next_in;
        }
        report
    }

    /// Simulates a crash: a worker claims all that may run now and dies, and its leases expire. Returns the jobs
    /// that were quarantined for it, which happens at the third crash as in production.
    pub async fn crash(&self) -> Vec<JobId> {
        drop(self.queue.claim(&self.processor.registry.skills(), usize::MAX, usize::MAX));
        self.advance(MemoryQueue::LEASE + Duration::from_millis(1));
        let mut aside = Vec::new();
        for job in self.queue.reap() {
            aside.push(job.id);
            self.processor.discard_quarantined(job.into()).await;
        }
        aside
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The clock of queue, stores and worker.
    #[must_use]
    pub const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The queue, to inspect it and to set shares.
    #[must_use]
    pub const fn queue(&self) -> &MemoryQueue {
        &self.queue
    }

    /// The stores, to inspect them.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }
}

fn run(job: &FetchedJob, finish: Finish) -> Run {
    Run {
        id: job.id,
        tenant: job.tenant.clone(),
        kind: kind(&job.wire).unwrap_or_default(),
        attempt: job.attempts + 1,
        children: finish.children.iter().map(|child| child.id).collect(),
        verdict: finish.verdict,
    }
}

/// The job type in an envelope, read without verification and for display only.
fn kind(wire: &str) -> Option<String> {
    let wire: WireEnvelope = serde_json::from_str(wire).ok()?;
    let envelope: Envelope = serde_json::from_str(wire.job.get()).ok()?;
    Some(envelope.kind)
}

/// One attempt at a job and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// The job's tenant.
    pub tenant: TenantId,
    /// Its type; empty when its envelope cannot be read.
    pub kind: String,
    /// Which attempt it was, 1 for the first.
    pub attempt: u32,
    /// The verdict on the attempt.
    pub verdict: Verdict,
    /// Jobs that were enqueued when it ended, without the continuation of a group.
    pub children: Vec<JobId>,
}

/// What a bench ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Every attempt, in order.
    pub runs: Vec<Run>,
    /// How long until the next delayed job is due. `None` when no job is delayed.
    pub next_in: Option<Duration>,
}

impl Report {
    /// The jobs that completed.
    #[must_use]
    pub fn completed(&self) -> Vec<JobId> {
        self.of(|verdict| matches!(verdict, Verdict::Completed).then_some(()))
            .into_iter()
            .map(|(id, ())| id)
            .collect()
    }

    /// The jobs that will be tried again, with the error. A job that failed twice is listed twice.
    #[must_use]
    pub fn retried(&self) -> Vec<(JobId, String)> {
        self.of(|verdict| match verdict {
            Verdict::Retry { error, .. } => Some(error.clone()),
            _ => None,
        })
    }

    /// The jobs that wait for a service that is busy or away, with what they wait for. Listed as often as they waited.
    #[must_use]
    pub fn waited(&self) -> Vec<(JobId, String)> {
        self.of(|verdict| match verdict {
            Verdict::Waiting { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    /// The jobs that were discarded, each with code and reason.
    #[must_use]
    pub fn discarded(&self) -> Vec<(JobId, &'static str, String)> {
        let given_up = self.of(|verdict| match verdict {
            Verdict::Discarded { code, reason } => Some((*code, reason.clone())),
            _ => None,
        });
        given_up.into_iter().map(|(id, (code, reason))| (id, code, reason)).collect()
    }

    /// The jobs that verification refused before any layer or handler saw them, each with the reason: quarantined,
    /// parked or dropped.
    #[must_use]
    pub fn refused(&self) -> Vec<(JobId, String)> {
        self.of(|verdict| match verdict {
            Verdict::Quarantined { code, reason } => Some(format!("{code}: {reason}")),
            Verdict::Parked { reason } | Verdict::Dropped { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    fn of<T>(&self, pick: impl Fn(&Verdict) -> Option<T>) -> Vec<(JobId, T)> {
        self.runs.iter().filter_map(|run| Some((run.id, pick(&run.verdict)?))).collect()
    }
}
