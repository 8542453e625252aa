//! Jobs that wait for a service that is busy or away.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobs::queue::Verdict;
use jobs::{Job, JobError};
use serde::{Deserialize, Serialize};
use worker::settings::PoolSettings;
use worker::{Handler, JobContext, TestBench};

/// Asks a service that is busy until it was asked `busy` times, and fails once of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    busy: u32,
}

impl Job for Ask {
    const TYPE: &'static str = "test.ask";
    const MAX_ATTEMPTS: u32 = 2;
    const NEEDS_KB: bool = false;
}

/// How often the service was asked.
#[derive(Default)]
struct Service(AtomicU32);

impl Handler for Ask {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let asked = cx.state::<Service>()?.0.fetch_add(1, Ordering::Relaxed);
        match asked {
            1 => Err(JobError::retry("its answer cannot be read")),
            _ if asked < self.busy => {
                let after = (asked == 0).then_some(Duration::from_secs(40));
                Err(JobError::wait("the model", after, "it answered 429"))
            }
            _ => Ok(()),
        }
    }
}

async fn bench(pool: PoolSettings) -> TestBench {
    TestBench::start(|worker| worker.register::<Ask>().state(Service::default()).pool(pool)).await
}

#[tokio::test]
async fn waiting_costs_no_attempt_however_often() {
    let bench = bench(PoolSettings::default()).await;
    let acme = bench.tenant("acme").await;
    let job = bench.enqueue(&acme, &Ask { busy: 60 }).await;
    let report = bench.run_until_empty().await;
    assert_eq!(report.waited(), [(job, "the model: it answered 429".to_owned())]);
    let first = report.next_in.expect("it waits").as_secs();
    assert!((40..=50).contains(&first), "as long as the service asks for: {first} s");
    let report = bench.run_to_the_end().await;
    assert_eq!(report.completed(), [job]);
    assert_eq!((report.retried().len(), report.waited().len()), (1, 58));
    let last = report.runs.last().expect("it ran");
    assert_eq!(last.attempt, 2, "only its own failure counts");
}

#[tokio::test]
async fn a_job_that_waits_too_long_is_given_up_with_a_code_of_its_own() {
    let hour = PoolSettings { wait_max_s: 3_600, ..PoolSettings::default() };
    let bench = bench(hour).await;
    let acme = bench.tenant("acme").await;
    let job = bench.enqueue(&acme, &Ask { busy: u32::MAX }).await;
    let begun = jobs::clock::Clock::now(bench.clock());
    let report = bench.run_to_the_end().await;
    let took = (jobs::clock::Clock::now(bench.clock()) - begun).num_minutes();
    assert!((60..=66).contains(&took), "{took} minutes");
    let (id, code, reason) = report.discarded().remove(0);
    assert_eq!((id, code), (job, "waited_too_long"));
    assert!(reason.contains("minutes for the model: it answered 429"), "{reason}");
    let waits = report.runs.iter().filter(|run| matches!(run.verdict, Verdict::Waiting { .. })).count();
    assert!(waits < 30, "waits grow: {waits}");
}
