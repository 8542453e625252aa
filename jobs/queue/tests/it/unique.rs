//! Jobs that must not be enqueued twice. Cases 16, 40 and 41: the key is part of the job's life.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{
    ConflictDone, Finish, JobState, NewJob, OnConflict, PushOutcome, Redriven, UniqueScope, Verdict,
};

use crate::support::{EnqueueOptions, Harness, Ping, Unique, ids, tenant};

fn job(h: &Harness, n: u32, unique: Unique) -> NewJob {
    h.job("acme", &Ping { n }, EnqueueOptions { unique: Some(unique), ..EnqueueOptions::default() })
}

async fn push(h: &Harness, job: &NewJob) -> PushOutcome {
    h.queue.push(std::slice::from_ref(job)).await.unwrap()
}

/// The same push, answered with the job that was there.
async fn assert_taken(h: &Harness, job: &NewJob, by: &NewJob) {
    let outcome = push(h, job).await;
    assert_eq!((outcome.accepted, outcome.duplicates), (0, 1));
    assert_eq!((outcome.conflicts[0].id, outcome.conflicts[0].existing), (job.id, by.id));
    assert_eq!(outcome.conflicts[0].done, ConflictDone::Kept);
}

#[tokio::test]
async fn case_40_every_end_of_a_job_frees_its_key() {
    let h = Harness::new().await;
    let reason = || "as told".to_owned();
    for verdict in [
        Verdict::Completed,
        Verdict::Discarded { code: "x", reason: reason() },
        Verdict::Quarantined { code: "x", reason: reason() },
        Verdict::Dropped { reason: reason() },
    ] {
        let first = job(&h, 1, Unique::args());
        assert_eq!(push(&h, &first).await.accepted, 1, "{verdict:?}");
        assert_taken(&h, &job(&h, 1, Unique::args()), &first).await;
        assert_eq!(push(&h, &job(&h, 2, Unique::args())).await.accepted, 1, "other arguments");
        let other = h.job(
            "globex",
            &Ping { n: 1 },
            EnqueueOptions { unique: Some(Unique::args()), ..EnqueueOptions::default() },
        );
        assert_eq!(push(&h, &other).await.accepted, 1, "another tenant");
        let claim = h.fetch(3).await;
        let index = claim.jobs.iter().position(|claimed| *claimed.id == *first.id.to_string()).unwrap();
        assert_taken(&h, &job(&h, 1, Unique::args()), &first).await;
        for at in 0..claim.jobs.len() {
            let verdict = if at == index { verdict.clone() } else { Verdict::Completed };
            assert!(h.finish(&claim, at, verdict).await);
        }
    }
    // A retry or a vanished worker is not an end, so the key is kept. A cancellation is one.
    let first = job(&h, 1, Unique::args());
    assert_eq!(push(&h, &first).await.accepted, 1);
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Retry { after: Duration::ZERO, error: reason() }).await;
    assert_taken(&h, &job(&h, 1, Unique::args()), &first).await;
    h.fetch(1).await;
    h.let_die().await;
    assert_taken(&h, &job(&h, 1, Unique::args()), &first).await;
    h.queue.cancel(&tenant("acme"), first.id).await.unwrap();
    let second = job(&h, 1, Unique::args());
    assert_eq!(push(&h, &second).await.accepted, 1);
    h.queue.cancel_partition(&tenant("acme")).await.unwrap();
    assert_eq!(push(&h, &job(&h, 1, Unique::args())).await.accepted, 1, "called off with its tenant");
}

#[tokio::test]
async fn a_redriven_job_takes_its_key_again_or_stays_where_it_is() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let (first, second) = (job(&h, 1, Unique::args()), job(&h, 1, Unique::args()));
    push(&h, &first).await;
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Discarded { code: "x", reason: String::new() }).await;
    assert_eq!(push(&h, &second).await.accepted, 1);
    assert_eq!(h.queue.redrive(&acme, first.id).await.unwrap(), Redriven::KeyTaken);
    let claim = h.fetch(1).await;
    h.complete(&claim).await;
    assert_eq!(h.queue.redrive(&acme, first.id).await.unwrap(), Redriven::Started);
    assert_taken(&h, &second, &first).await;
}

/// Whether the queue says that `job` has its key.
async fn assert_holds(h: &Harness, job: &NewJob, holder: Option<&NewJob>) {
    let key = &job.unique.as_ref().unwrap().key;
    let found = h.queue.unique_holder(&job.partition, key).await.unwrap();
    assert_eq!(found, holder.map(|holder| holder.id));
    assert_eq!(h.queue.unique_holder(&tenant("other"), key).await.unwrap(), None);
}

/// Goal: the job that has a key is named as long as a second one would conflict with it, and no longer.
#[tokio::test]
async fn the_job_that_has_a_key_is_named() {
    let h = Harness::new().await;
    for scope in [UniqueScope::UntilStarted, UniqueScope::UntilFinished] {
        let first = job(&h, 1, Unique::args().scope(scope));
        assert_holds(&h, &first, None).await;
        push(&h, &first).await;
        assert_holds(&h, &first, Some(&first)).await;
        let claim = h.fetch(1).await;
        assert_holds(&h, &first, (scope == UniqueScope::UntilFinished).then_some(&first)).await;
        h.complete(&claim).await;
        assert_holds(&h, &first, None).await;
    }
    let first = job(&h, 1, Unique::idempotency_key("upload-7"));
    push(&h, &first).await;
    let claim = h.fetch(1).await;
    h.complete(&claim).await;
    assert_holds(&h, &first, Some(&first)).await;
    h.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert_holds(&h, &first, None).await;
    // Cancelled with its whole tenant.
    let last = job(&h, 2, Unique::args());
    push(&h, &last).await;
    h.queue.cancel_partition(&last.partition).await.unwrap();
    assert_holds(&h, &last, None).await;
}

#[tokio::test]
async fn until_started_lets_one_wait_while_one_runs() {
    let h = Harness::new().await;
    let unique = Unique::args().scope(UniqueScope::UntilStarted);
    let (first, second) = (job(&h, 1, unique), job(&h, 1, unique));
    push(&h, &first).await;
    assert_taken(&h, &second, &first).await;
    let claim = h.fetch(1).await;
    assert_eq!(push(&h, &second).await.accepted, 1);
    assert_taken(&h, &job(&h, 1, unique), &second).await;
    h.complete(&claim).await;
    assert_taken(&h, &job(&h, 1, unique), &second).await;
}

/// An idempotency key outlives its job.
#[tokio::test]
async fn a_period_counts_from_the_enqueue_whatever_becomes_of_the_job() {
    let h = Harness::new().await;
    let unique = Unique::idempotency_key("upload-7");
    let first = job(&h, 1, unique);
    push(&h, &first).await;
    let claim = h.fetch(1).await;
    h.complete(&claim).await;
    assert_taken(&h, &job(&h, 2, unique), &first).await;
    h.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert_eq!(push(&h, &job(&h, 2, unique)).await.accepted, 1);
}

#[tokio::test]
async fn replace_takes_the_place_and_the_last_arguments_win() {
    let h = Harness::new().await;
    let unique = Unique::kind().on_conflict(OnConflict::Replace);
    let (first, behind) = (job(&h, 1, unique), h.ping("acme"));
    push(&h, &first).await;
    h.push(std::slice::from_ref(&behind)).await;
    let second = job(&h, 2, unique);
    let outcome = push(&h, &second).await;
    assert_eq!((outcome.accepted, outcome.conflicts[0].done), (1, ConflictDone::Replaced));
    let state = h.queue.lookup(&tenant("acme"), first.id).await.unwrap().unwrap().state;
    assert_eq!(state, JobState::Cancelled);
    let claim = h.fetch(1).await;
    assert_eq!(ids(&claim), [second.id.to_string()], "it took the first place");
    let third = job(&h, 3, unique);
    assert_taken(&h, &third, &second).await;
    h.complete(&claim).await;
    assert_eq!(push(&h, &third).await.accepted, 1);
    // A job that waits for its time keeps that time.
    let later = EnqueueOptions {
        scheduled_at: Some(h.clock.now() + Duration::from_secs(60)),
        unique: Some(
            Unique::idempotency_key("k").scope(UniqueScope::UntilFinished).on_conflict(OnConflict::Replace),
        ),
        ..EnqueueOptions::default()
    };
    let (timed, newer) = (
        h.job("acme", &Ping { n: 4 }, later),
        h.job("acme", &Ping { n: 5 }, EnqueueOptions { scheduled_at: None, ..later }),
    );
    push(&h, &timed).await;
    assert_eq!(push(&h, &newer).await.conflicts[0].done, ConflictDone::Replaced);
    let status = h.queue.lookup(&tenant("acme"), newer.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.at), (JobState::Scheduled, later.scheduled_at));
}

#[tokio::test]
async fn reschedule_moves_the_job_that_is_there() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let unique = Some(Unique::kind().on_conflict(OnConflict::Reschedule));
    let at = |seconds| EnqueueOptions {
        scheduled_at: Some(h.clock.now() + Duration::from_secs(seconds)),
        unique,
        ..EnqueueOptions::default()
    };
    let first = h.job("acme", &Ping::default(), at(600));
    push(&h, &first).await;
    let outcome = push(&h, &h.job("acme", &Ping::default(), at(60))).await;
    assert_eq!((outcome.accepted, outcome.conflicts[0].done), (0, ConflictDone::Rescheduled));
    assert_eq!(h.queue.lookup(&acme, first.id).await.unwrap().unwrap().at, at(60).scheduled_at);
    h.clock.advance(Duration::from_secs(61));
    let claim = h.fetch(1).await;
    assert_eq!(ids(&claim), [first.id.to_string()]);
    let outcome = push(&h, &h.job("acme", &Ping::default(), at(60))).await;
    assert_eq!(outcome.conflicts[0].done, ConflictDone::Kept, "what runs is not put off");
}

/// Case 16: a conflict is one job's affair.
#[tokio::test]
async fn case_16_a_conflict_holds_up_nothing_else() {
    let h = Harness::new().await;
    let first = job(&h, 1, Unique::args());
    push(&h, &first).await;
    let batch = [h.ping("acme"), job(&h, 1, Unique::args()), h.ping("globex"), job(&h, 2, Unique::args())];
    let outcome = h.queue.push(&batch).await.unwrap();
    assert_eq!((outcome.accepted, outcome.duplicates, outcome.conflicts.len()), (3, 1, 1));
    // Children of a job meet the same rule.
    let parent = h.ping("initech");
    h.push(std::slice::from_ref(&parent)).await;
    loop {
        let claim = h.fetch(10).await;
        let Some(index) = claim.jobs.iter().position(|job| &*job.partition == "initech") else { continue };
        let unique = EnqueueOptions { unique: Some(Unique::args()), ..EnqueueOptions::default() };
        let children = (0..2).map(|_| h.job("initech", &Ping { n: 9 }, unique)).collect();
        let finish = Finish { verdict: Verdict::Completed, children, group: None };
        assert!(h.finish(&claim, index, finish).await);
        break;
    }
    assert_eq!(h.queue.stats(&tenant("initech")).await.unwrap().available, 1);
}
