//! The benched worker of a product: the crate `worker` with everything that it does for a job. Tenants are in a
//! catalog, the job gets a context with their stores, layers and metrics see it, and its record is in the history
//! before it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jobs::JobError;
use jobs::envelope::StampKeys;
use stores::StoresConfig;
use worker::{Handler, JobContext, Worker};

use super::commands::{answer, cpu_seconds, listen};
use super::worker::{WorkerDone, WorkerSpec};
use crate::harness::records::{self, Ran};
use crate::harness::workload::{Wait, tenant, tenant_index};

/// The jobs that ran.
#[derive(Clone, Default)]
struct Diary {
    ran: Arc<AtomicU64>,
    notes: Arc<Mutex<Vec<Ran>>>,
}

impl Handler for Wait {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let (diary, at) = (cx.state::<Diary>()?, cx.now().timestamp_micros());
        if self.work_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.work_ms.into())).await;
        }
        let id = records::number(cx.job_id()).map_err(|error| JobError::fail("id", error.to_string()))?;
        let tenant = tenant_index(cx.tenant().tenant_id());
        let note = Ran { id, tenant, created_us: at, started_us: at, ended_us: cx.now().timestamp_micros() };
        diary.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        diary.ran.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// Takes the same part as the benched worker of the queue; its stores are files beside its records.
pub(crate) async fn run(spec: WorkerSpec) -> Result<()> {
    let mut lines = listen();
    let data = spec.records.parent().context("records are in a folder")?.join("data");
    std::fs::create_dir(&data)?;
    let queue = jobs::queue::config(spec.url.clone().into());
    let stores = StoresConfig::embedded(data, spec.url.into());
    let diary = Diary::default();
    let worker = Worker::builder(queue, StampKeys::parse(&spec.keys.into())?, stores)
        .register::<Wait>()
        .state(diary.clone())
        .concurrency(u16::try_from(spec.concurrency)?)
        .connect()
        .await?;
    for index in 0..spec.tenants {
        worker.tenants().ensure(&tenant(index), "Bench").await?;
    }
    answer(&"ready")?;
    ensure!(lines.recv().await.as_deref() == Some("go"), "the parent did not say go");

    let begun = (Instant::now(), cpu_seconds());
    let worker = worker.start();
    let observer = worker.observer();
    let in_flight = || observer.slots().map(|(_, slots)| slots.in_flight()).sum::<usize>();
    answer(&WorkerDone::wait(begun, (&diary.ran, spec.expect), in_flight).await)?;
    lines.recv().await;
    worker.stop(Duration::from_secs(20)).await;
    let ran = std::mem::take(&mut *diary.notes.lock().unwrap_or_else(PoisonError::into_inner));
    records::write(&spec.records, &ran)?;
    answer(&"stopped")
}
