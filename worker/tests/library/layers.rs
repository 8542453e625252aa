//! Layers supplied by the embedding program.

use std::time::Duration;

use jobs::{Job as _, JobError};
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use worker::layer::{JobRequest, Next, from_fn};
use worker::{TestBench, WorkerBuilder};

use crate::support::{Diary, Task, forged};

async fn bench(with: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> (TestBench, Diary) {
    let diary = Diary::default();
    let bench = TestBench::start(|worker| with(worker.register::<Task>().state(diary.clone()))).await;
    (bench, diary)
}

/// Writes down what it sees, on the way in and on the way out.
async fn observe(name: &str, request: JobRequest, next: Next) -> Result<(), JobError> {
    let diary = request.context().state::<Diary>()?.clone();
    let (tenant, attempt) = (request.tenant().tenant_id().clone(), request.attempt());
    assert_eq!((request.kind(), request.policy().max_attempts), (Task::TYPE, 3));
    assert_eq!(request.job_id(), request.envelope().id);
    diary.note(format!("{name} sees {tenant} {attempt}"));
    let result = next.run(request).await;
    let outcome = result.as_ref().err().map_or("ok", JobError::code);
    diary.note(format!("{name} saw {outcome}"));
    result
}

#[tokio::test]
async fn the_first_layer_is_the_outermost_and_sees_the_context() {
    let (bench, diary) = bench(|worker| {
        worker
            .layer(from_fn(|request, next| observe("outer", request, next)))
            .layer(from_fn(|request, next| observe("inner", request, next)))
    })
    .await;
    let acme = bench.tenant("acme").await;
    bench.enqueue(&acme, &Task::Succeed).await;
    bench.run_until_empty().await;
    let expected =
        ["outer sees acme 1", "inner sees acme 1", "acme Succeed 1", "inner saw ok", "outer saw ok"];
    assert_eq!(diary.read(), expected);
}

#[tokio::test]
async fn a_layer_ends_an_attempt_in_the_ways_a_handler_can() {
    let (bench, diary) = bench(|worker| {
        worker.layer(from_fn(|request: JobRequest, next: Next| async move {
            match request.tenant().tenant_id().as_str() {
                "later" => Err(JobError::retry_after(Duration::from_secs(60), "not now")),
                "never" => Err(JobError::fail("not_allowed", "the feature is off")),
                "skipped" => Ok(()),
                _ => next.run(request).await,
            }
        }))
    })
    .await;
    for tenant in ["later", "never", "skipped", "usual"] {
        let tenant = bench.tenant(tenant).await;
        bench.enqueue(&tenant, &Task::Succeed).await;
    }
    let report = bench.run_until_empty().await;
    assert_eq!(diary.read(), ["never Succeed discarded: not_allowed", "usual Succeed 1"]);
    assert!((60..=75).contains(&report.next_in.unwrap().as_secs()), "{report:?}");
    assert_eq!(report.discarded()[0].1, "not_allowed");
    assert_eq!(report.completed().len(), 2, "skipped and usual");
}

/// All jobs pass verification first: neither layers nor handler see a job that fails it.
#[tokio::test]
async fn a_layer_sees_only_what_was_verified() {
    let (bench, diary) = bench(|worker| worker.layer(from_fn(|r, n| observe("layer", r, n)))).await;
    let acme = bench.tenant("acme").await;
    bench.queue().push(&[forged(&bench, &acme)]).unwrap();
    assert_eq!(bench.run_until_empty().await.refused().len(), 1);
    assert_eq!(diary.read(), Vec::<String>::new());
}

#[tokio::test]
async fn a_layer_hears_of_panics_and_timeouts() {
    let (bench, diary) = bench(|worker| worker.layer(from_fn(|r, n| observe("layer", r, n)))).await;
    let acme = bench.tenant("acme").await;
    bench.enqueue(&acme, &Task::Panic).await;
    bench.enqueue(&acme, &Task::Hang).await;
    bench.run_until_empty().await;
    let heard: Vec<_> = diary.read().into_iter().filter(|line| line.starts_with("layer saw")).collect();
    assert_eq!(heard, ["layer saw transient", "layer saw transient"]);
}

#[tokio::test]
async fn a_layer_that_panics_or_hangs_has_failed_an_attempt_and_no_more() {
    let (bench, diary) = bench(|worker| {
        worker.layer(from_fn(|request: JobRequest, next: Next| async move {
            match request.tenant().tenant_id().as_str() {
                "panics" => panic!("a bug"),
                "hangs" => std::future::pending().await,
                _ => next.run(request).await,
            }
        }))
    })
    .await;
    for tenant in ["panics", "hangs", "works"] {
        let tenant = bench.tenant(tenant).await;
        bench.enqueue(&tenant, &Task::Succeed).await;
    }
    let report = bench.run_until_empty().await;
    let reasons: Vec<_> = report.retried().into_iter().map(|(_, reason)| reason).collect();
    assert!(reasons.iter().any(|reason| reason.contains("the layer panicked: a bug")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("no result after 2s")), "{reasons:?}");
    assert_eq!((report.completed().len(), diary.read()), (1, vec!["works Succeed 1".to_owned()]));
}

/// Such layers box their errors; a verdict inside the box keeps its meaning.
#[tokio::test]
async fn towers_own_layers_fit() {
    let (bench, _) = bench(|worker| {
        worker.layer(ConcurrencyLimitLayer::new(4)).layer(TimeoutLayer::new(Duration::from_millis(50)))
    })
    .await;
    let acme = bench.tenant("acme").await;
    bench.enqueue(&acme, &Task::Hang).await;
    bench.enqueue(&acme, &Task::GiveUp).await;
    let report = bench.run_until_empty().await;
    assert!(report.retried()[0].1.contains("request timed out"), "{report:?}");
    assert_eq!(report.discarded()[0].1, "no_use");
}
