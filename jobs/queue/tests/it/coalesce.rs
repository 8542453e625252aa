//! Single pushes of many tasks share calls, and yet each caller learns what became of its own job.

use fair_queue::{PartitionShare, PushOutcome, QueueError};
use futures::future::join_all;

use crate::support::{Harness, tenant};

#[tokio::test]
async fn each_of_many_callers_learns_what_became_of_its_job() {
    let harness = Harness::new().await;
    let (known, twice) = (harness.ping("acme"), harness.ping("acme"));
    harness.push(std::slice::from_ref(&known)).await;
    let mut jobs: Vec<_> =
        (0..40).map(|n| harness.ping(if n % 2 == 0 { "acme" } else { "globex" })).collect();
    jobs.extend([known.clone(), twice.clone(), twice.clone()]);
    let pushes = jobs.iter().map(|job| harness.queue.push(std::slice::from_ref(job)));
    let outcomes: Vec<PushOutcome> = join_all(pushes).await.into_iter().map(Result::unwrap).collect();
    let accepted: Vec<usize> = outcomes.iter().map(|outcome| outcome.accepted).collect();
    assert!(accepted[..40].iter().all(|count| *count == 1), "{accepted:?}");
    assert_eq!(accepted[40], 0);
    assert_eq!(accepted[41] + accepted[42], 1);
    assert!(outcomes.iter().all(|outcome| outcome.accepted + outcome.duplicates == 1));
    assert_eq!(harness.queue.stats(&tenant("acme")).await.unwrap().available, 22);
}

/// A tenant at its limit is refused exactly the jobs beyond it, and other tenants are not affected.
#[tokio::test]
async fn a_limit_holds_for_each_caller_alone() {
    let harness = Harness::new().await;
    let share = PartitionShare { backlog_jobs: Some(10), ..PartitionShare::default() };
    harness.queue.partition_set(&tenant("acme"), share).await.unwrap();
    let jobs: Vec<_> = (0..40).map(|n| harness.ping(if n % 2 == 0 { "acme" } else { "globex" })).collect();
    let pushes = jobs.iter().map(|job| harness.queue.push(std::slice::from_ref(job)));
    let outcomes = join_all(pushes).await;
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(QueueError::LimitReached(_))));
    assert_eq!(refused.count(), 10);
    for (job, outcome) in jobs.iter().zip(&outcomes) {
        assert!(outcome.is_ok() || job.partition == tenant("acme"), "{outcome:?}");
    }
    assert_eq!(harness.queue.stats(&tenant("acme")).await.unwrap().available, 10);
    assert_eq!(harness.queue.stats(&tenant("globex")).await.unwrap().available, 20);
}

#[tokio::test]
async fn a_caller_that_goes_away_holds_up_nobody() {
    let harness = Harness::new().await;
    let (gone, stays) = (harness.ping("acme"), harness.ping("acme"));
    let mut abandoned = Box::pin(harness.queue.push(std::slice::from_ref(&gone)));
    assert!(futures::poll!(abandoned.as_mut()).is_pending());
    drop(abandoned);
    let stays = harness.queue.push(std::slice::from_ref(&stays)).await.unwrap();
    assert_eq!(stays.accepted, 1);
    assert_eq!(harness.queue.stats(&tenant("acme")).await.unwrap().available, 2);
}

/// The sending task ends with the runtime that started it. The next caller takes over.
#[test]
fn a_runtime_that_ends_in_the_middle_holds_up_nobody() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let harness = second.block_on(Harness::new());
    let job = harness.ping("acme");
    first.block_on(async {
        let mut push = Box::pin(harness.queue.push(std::slice::from_ref(&job)));
        assert!(futures::poll!(push.as_mut()).is_pending());
    });
    drop(first);
    let pushed = second.block_on(harness.queue.push(std::slice::from_ref(&harness.ping("acme")))).unwrap();
    assert_eq!(pushed.accepted, 1);
}
