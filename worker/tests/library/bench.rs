//! The test bench itself.

use std::collections::HashSet;
use std::time::Duration;

use jobs::clock::Clock as _;
use jobs::envelope::EnqueueOptions;
use jobs::queue::{JobState, Kept, PartitionShare, Redriven};

use crate::support::{Gather, Task, bench, forged};

#[tokio::test]
async fn a_job_runs_once_for_the_tenant_that_enqueued_it() {
    let (bench, diary) = bench().await;
    let (acme, globex) = (bench.tenant("acme").await, bench.tenant("globex").await);
    let one = bench.enqueue(&acme, &Task::Succeed).await;
    let two = bench.enqueue(&globex, &Task::Succeed).await;
    let report = bench.run_until_empty().await;
    assert_eq!(report.completed(), [one, two]);
    assert_eq!(diary.read(), ["acme Succeed 1", "globex Succeed 1"]);
    assert_eq!((report.runs[0].kind.as_str(), report.runs[0].attempt), ("test.task", 1));
    assert_eq!(bench.run_until_empty().await.runs, []);
    let catalog = bench.opened().stores.scoped(&acme).catalog();
    assert_eq!(catalog.history(one).await.unwrap().unwrap().state, "completed", "as in production");
}

#[tokio::test]
async fn what_is_due_later_waits_for_the_clock() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    let at = bench.clock().now() + Duration::from_secs(3600);
    let options = EnqueueOptions { scheduled_at: Some(at), ..EnqueueOptions::default() };
    let job = bench.enqueue_with(&acme, &Task::Succeed, options).await;
    let report = bench.run_until_empty().await;
    assert_eq!((report.runs.len(), report.next_in), (0, Some(Duration::from_secs(3600))));
    bench.advance(Duration::from_secs(3599));
    assert_eq!(bench.run_until_empty().await.runs, []);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.run_until_empty().await.completed(), [job]);
    assert_eq!(diary.read(), ["acme Succeed 1"]);
}

#[tokio::test]
async fn failures_are_retried_with_growing_waits_and_end_as_dead_letters() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    let job = bench.enqueue(&acme, &Task::Fail).await;
    let report = bench.run_until_empty().await;
    assert_eq!(report.retried(), [(job, "a passing fault: told to".to_owned())]);
    let first = report.next_in.unwrap();
    assert!((500..=1_000).contains(&first.as_millis()), "{first:?}");
    bench.advance(first);
    let second = bench.run_until_empty().await.next_in.unwrap();
    assert!((1_000..=2_000).contains(&second.as_millis()), "{second:?}");
    let report = bench.run_to_the_end().await;
    assert_eq!(report.discarded()[0].1, "attempts_exhausted");
    assert_eq!(
        diary.read(),
        ["acme Fail 1", "acme Fail 2", "acme Fail 3", "acme Fail discarded: attempts_exhausted"]
    );
    let kept = bench.queue().kept(acme.tenant_id(), Kept::Discarded, 10);
    assert_eq!((kept[0].id, kept[0].reason.code.as_str()), (job, "attempts_exhausted"));
    assert_eq!(bench.queue().redrive(acme.tenant_id(), job), Redriven::Started);
    assert_eq!(bench.run_until_empty().await.retried().len(), 1, "with all its attempts");
}

#[tokio::test]
async fn tidying_up_ends_when_the_types_time_is_over() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    let job = bench.enqueue(&acme, &Task::GiveUpAndHang).await;
    assert_eq!(bench.run_until_empty().await.discarded(), [(job, "no_use", "told to".to_owned())]);
    assert_eq!(diary.read(), ["acme GiveUpAndHang 1", "acme GiveUpAndHang discarded: no_use"]);
}

/// The continuation is a job of its own, whatever else the handler enqueues.
#[tokio::test]
async fn a_groups_continuation_shares_its_id_with_no_other_child() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    bench.enqueue(&acme, &Task::FanOutAndGather).await;
    let completed = bench.run_to_the_end().await.completed();
    assert_eq!(diary.read().iter().filter(|line| *line == "gather").count(), 2);
    assert_eq!(completed.iter().collect::<HashSet<_>>().len(), 5, "{completed:?}");
}

#[tokio::test]
async fn a_panic_a_hang_and_a_last_word_are_judged_as_in_production() {
    let (bench, _) = bench().await;
    let acme = bench.tenant("acme").await;
    let panics = bench.enqueue(&acme, &Task::Panic).await;
    let hangs = bench.enqueue(&acme, &Task::Hang).await;
    let gives_up = bench.enqueue(&acme, &Task::GiveUp).await;
    let report = bench.run_until_empty().await;
    let retried = report.retried();
    assert_eq!((retried[0].0, retried[1].0), (panics, hangs));
    assert!(retried[0].1.contains("the handler panicked: told to"), "{retried:?}");
    assert!(retried[1].1.contains("no result after 2s"), "{retried:?}");
    assert_eq!(report.discarded(), [(gives_up, "no_use", "told to".to_owned())]);
}

#[tokio::test]
async fn a_group_ends_in_its_continuation_once() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    bench.enqueue(&acme, &Task::FanOut(3)).await;
    let report = bench.run_until_empty().await;
    assert_eq!((report.completed().len(), report.runs[0].children.len()), (5, 3));
    assert_eq!(diary.read().last().unwrap(), "gather");
    assert_eq!(bench.queue().stats(acme.tenant_id()).open(), 0);
}

#[tokio::test]
async fn tenants_take_turns_and_caps_hold() {
    let (bench, diary) = bench().await;
    let (acme, globex) = (bench.tenant("acme").await, bench.tenant("globex").await);
    let share = PartitionShare { weight: Some(2), ..PartitionShare::default() };
    bench.queue().partition_set(globex.tenant_id(), &share);
    for _ in 0..6 {
        bench.enqueue(&acme, &Task::Succeed).await;
        bench.enqueue(&globex, &Task::Succeed).await;
    }
    bench.run_until_empty().await;
    let first = diary.read()[..9].iter().filter(|line| line.starts_with("globex")).count();
    assert_eq!(first, 6, "two of three turns");

    let paused = PartitionShare { paused: Some(true), ..PartitionShare::default() };
    bench.queue().partition_set(acme.tenant_id(), &paused);
    let job = bench.enqueue(&acme, &Task::Succeed).await;
    assert_eq!(bench.run_until_empty().await.runs, []);
    let status = bench.queue().lookup(acme.tenant_id(), job).unwrap();
    assert_eq!((status.state, status.skill_declared), (JobState::Available, true));
}

#[tokio::test]
async fn a_forged_job_is_put_aside_and_the_next_one_runs() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    let forged = forged(&bench, &acme);
    bench.queue().push(std::slice::from_ref(&forged)).unwrap();
    let next = bench.enqueue(&acme, &Task::Succeed).await;
    let report = bench.run_until_empty().await;
    assert!(report.refused()[0].1.starts_with("stamp_unknown_key"), "{report:?}");
    assert_eq!((report.refused()[0].0, report.completed()), (forged.id(), vec![next]));
    assert_eq!(diary.read(), ["acme Succeed 1"]);
}

#[tokio::test]
async fn a_type_that_is_not_registered_waits_and_is_seen() {
    let bench = worker::TestBench::start(worker::WorkerBuilder::register::<Gather>).await;
    let acme = bench.tenant("acme").await;
    bench.enqueue(&acme, &Task::Succeed).await;
    assert_eq!(bench.run_to_the_end().await.runs, []);
    assert_eq!(bench.queue().stats(acme.tenant_id()).undeclared.get("test.task@1"), Some(&1));
}
