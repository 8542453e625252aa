//! What the worker counts and measures is what happens: each metric and each of its outcomes, by a recorder that only
//! this thread has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jobs::queue::{Cancelled, MemoryQueue};
use jobs::{Job, JobError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use worker::{Handler, JobContext, TestBench};

use crate::support::{Diary, Gather, Task, forged};

/// Ends as it is told, and well the next time.
#[derive(Serialize, Deserialize)]
enum Once {
    Away,
    Interrupted,
    /// It is cancelled while it runs.
    Cancelled,
}

impl Job for Once {
    const TYPE: &'static str = "test.once";
    const QUEUE: &'static str = "tests";
}

/// What the handler needs: whether it ran before, and the queue that it cancels itself in.
#[derive(Clone, Default)]
struct Desk {
    ran: Arc<AtomicBool>,
    queue: Arc<OnceLock<MemoryQueue>>,
}

impl Handler for Once {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let desk = cx.state::<Desk>()?;
        if desk.ran.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        match self {
            Self::Away => Err(JobError::unavailable("the store is away")),
            Self::Interrupted => Err(JobError::Interrupted),
            Self::Cancelled => {
                let queue = desk.queue.get().unwrap();
                assert_eq!(queue.cancel(cx.tenant().tenant_id(), cx.job_id()), Cancelled::Stopping);
                Err(JobError::retry("told to stop"))
            }
        }
    }
}

async fn bench() -> (TestBench, Desk) {
    let desk = Desk::default();
    let equip = |worker: worker::WorkerBuilder| {
        let worker = worker.register::<Task>().register::<Gather>().register::<Once>();
        worker.state(Diary::default()).state(desk.clone())
    };
    let bench = TestBench::start(equip).await;
    desk.queue.set(bench.queue().clone()).unwrap();
    (bench, desk)
}

/// The value of a series, if it is there.
fn value(handle: &PrometheusHandle, series: &str) -> Option<f64> {
    let text = handle.render();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn assert_values(handle: &PrometheusHandle, expected: &[(&str, f64)]) {
    for (series, expected) in expected {
        assert_eq!(value(handle, series), Some(*expected), "{series} in\n{}", handle.render());
    }
}

#[tokio::test]
async fn each_outcome_of_an_attempt_is_counted_as_what_it_is() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let (handle, _installed) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let (bench, desk) = bench().await;
    let acme = bench.tenant("acme").await;
    for task in [Task::Succeed, Task::FanOut(2), Task::GiveUp, Task::Fail] {
        bench.enqueue(&acme, &task).await;
    }
    bench.run_to_the_end().await;
    for once in [Once::Away, Once::Interrupted, Once::Cancelled] {
        desk.ran.store(false, Ordering::SeqCst);
        bench.enqueue(&acme, &once).await;
        bench.run_to_the_end().await;
    }
    assert_values(
        &handle,
        &[
            // The fan-out has two members; the task that fails has three attempts.
            (r#"tenantry_jobs_started_total{queue="default",type="test.task"}"#, 8.0),
            (r#"tenantry_jobs_finished_total{queue="default",type="test.task",outcome="completed"}"#, 4.0),
            (r#"tenantry_jobs_finished_total{queue="default",type="test.task",outcome="retried"}"#, 2.0),
            (r#"tenantry_jobs_finished_total{queue="default",type="test.task",outcome="discarded"}"#, 2.0),
            (r#"tenantry_jobs_enqueued_total{queue="default",type="test.task"}"#, 2.0),
            (r#"tenantry_jobs_enqueued_total{queue="default",type="test.gather"}"#, 1.0),
            (r#"tenantry_job_wait_seconds_count{queue="default",type="test.task"}"#, 6.0),
            (r#"tenantry_job_run_seconds_count{queue="default",type="test.task"}"#, 8.0),
            (r#"tenantry_jobs_finished_total{queue="tests",type="test.once",outcome="parked"}"#, 1.0),
            (r#"tenantry_jobs_finished_total{queue="tests",type="test.once",outcome="released"}"#, 1.0),
            (r#"tenantry_jobs_finished_total{queue="tests",type="test.once",outcome="cancelled"}"#, 1.0),
            (r#"tenantry_jobs_finished_total{queue="tests",type="test.once",outcome="completed"}"#, 2.0),
        ],
    );
}

#[tokio::test]
async fn what_reaches_no_handler_is_counted_with_its_reason() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let (handle, _installed) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let (bench, _) = bench().await;
    let acme = bench.tenant("acme").await;
    bench.queue().push(std::slice::from_ref(&forged(&bench, &acme))).unwrap();
    bench.run_until_empty().await;
    bench.enqueue(&acme, &Task::Succeed).await;
    for _ in 0..3 {
        bench.crash().await;
        bench.advance(Duration::from_secs(1));
    }
    assert_values(
        &handle,
        &[
            (r#"tenantry_jobs_refused_total{reason="stamp_unknown_key"}"#, 1.0),
            (r#"tenantry_jobs_quarantined_total{reason="stamp_unknown_key"}"#, 1.0),
            (r#"tenantry_jobs_quarantined_total{reason="worker_died"}"#, 1.0),
        ],
    );
}
