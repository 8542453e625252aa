//! The benched worker: the road that every job takes in the product, with a handler that waits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::{StampKeys, Verifier};
use jobs::queue::{FetchedJob, Finish, Queue, Verdict, WorkerOptions, WorkerQueue, run_for_tests};
use jobs::tenant::TenantId;
use jobs::{Job as _, JobId, JobPolicy};
use serde::{Deserialize, Serialize};

use super::commands::{answer, cpu_seconds, listen};
use crate::harness::directory::Roster;
use crate::harness::records::{self, Ran};
use crate::harness::workload::{Wait, tenant, tenant_index};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerSpec {
    pub(crate) url: String,
    pub(crate) keys: String,
    pub(crate) tenants: usize,
    pub(crate) concurrency: usize,
    /// After so many jobs the time is taken; 0 for never.
    pub(crate) expect: u64,
    /// The file to write the executed jobs to, at the end.
    pub(crate) records: PathBuf,
}

/// All expected jobs have ended, and Redis knows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerDone {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// One job that ran, as cheaply noted as can be.
struct Note {
    id: JobId,
    tenant: TenantId,
    created_us: i64,
    started_us: i64,
    ended_us: i64,
}

impl WorkerDone {
    /// Waits until `expect` jobs have run and none is `in_flight`; `start` and `cpu` are from before the first.
    pub(super) async fn wait(
        (start, cpu): (Instant, f64),
        (ran, expect): (&AtomicU64, u64),
        in_flight: impl Fn() -> usize,
    ) -> Self {
        while ran.load(Ordering::Acquire) < expect || in_flight() > 0 {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        Self { seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() - cpu }
    }
}

struct Bench {
    verifier: Verifier,
    policy: JobPolicy,
    ran: AtomicU64,
    notes: Mutex<Vec<Note>>,
}

pub(crate) async fn run(spec: WorkerSpec) -> Result<()> {
    let mut lines = listen();
    let queue = Queue::connect(jobs::queue::config(spec.url.into())).await?;
    let clock = Arc::new(SystemClock);
    let keys = StampKeys::parse(&spec.keys.into())?;
    let bench = Arc::new(Bench {
        verifier: Verifier::new(keys, Arc::new(Roster::of(spec.tenants)), clock),
        policy: JobPolicy::of::<Wait>(),
        ran: AtomicU64::new(0),
        notes: Mutex::new(touched(usize::try_from(spec.expect)?)),
    });
    answer(&"ready")?;
    ensure!(lines.recv().await.as_deref() == Some("go"), "the parent did not say go");

    let begun = (Instant::now(), cpu_seconds());
    let worker =
        WorkerQueue::start(queue, WorkerOptions::new([jobs::queue::skill_of::<Wait>()], spec.concurrency));
    let handler = {
        let bench = Arc::clone(&bench);
        move |job: FetchedJob| {
            let bench = Arc::clone(&bench);
            async move { Ok(bench.handle(job).await) }
        }
    };
    let running = tokio::spawn(run_for_tests(worker.backend(), handler));
    if spec.expect > 0 {
        let observer = worker.observer();
        answer(&WorkerDone::wait(begun, (&bench.ran, spec.expect), || observer.in_flight()).await)?;
    }
    lines.recv().await;
    worker.stop(Duration::from_secs(20)).await;
    running.await?.map_err(|error| anyhow::anyhow!("the worker ended: {error}"))?;
    let notes = std::mem::take(&mut *bench.notes.lock().unwrap_or_else(PoisonError::into_inner));
    records::write(&spec.records, &notes.iter().map(Note::record).collect::<Result<Vec<_>>>()?)?;
    answer(&"stopped")
}

/// An empty vector whose memory is allocated and touched already, so that this is not measured.
fn touched(capacity: usize) -> Vec<Note> {
    let note = || Note {
        id: JobId::generate(SystemClock.now()),
        tenant: tenant(0),
        created_us: 0,
        started_us: 0,
        ended_us: 0,
    };
    let mut notes: Vec<Note> = std::iter::repeat_with(note).take(capacity).collect();
    notes.clear();
    notes
}

impl Bench {
    async fn handle(&self, job: FetchedJob) -> Finish {
        let clock = SystemClock;
        let policy =
            |kind: &str, version| (kind == Wait::TYPE && version == Wait::VERSION).then_some(self.policy);
        let verified = match self.verifier.verify(&job.wire, &job.tenant, policy).await {
            Ok(verified) => verified,
            Err(refusal) => {
                let (code, reason) = (refusal.code(), refusal.to_string());
                return Verdict::Quarantined { code, reason }.into();
            }
        };
        let started_us = clock.now().timestamp_micros();
        match verified.envelope.payload::<Wait>() {
            Ok(Wait { work_ms: 0, .. }) => {}
            Ok(Wait { work_ms, .. }) => tokio::time::sleep(Duration::from_millis(work_ms.into())).await,
            Err(error) => return Verdict::Discarded { code: "payload", reason: error.to_string() }.into(),
        }
        let note = Note {
            id: job.id,
            tenant: verified.tenant.tenant_id().clone(),
            created_us: verified.envelope.meta.created_at.timestamp_micros(),
            started_us,
            ended_us: clock.now().timestamp_micros(),
        };
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.ran.fetch_add(1, Ordering::Release);
        Verdict::Completed.into()
    }
}

impl Note {
    fn record(&self) -> Result<Ran> {
        let Self { created_us, started_us, ended_us, .. } = *self;
        Ok(Ran {
            id: records::number(self.id)?,
            tenant: tenant_index(&self.tenant),
            created_us,
            started_us,
            ended_us,
        })
    }
}
