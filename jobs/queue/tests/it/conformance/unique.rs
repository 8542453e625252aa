//! Unique keys are part of their jobs' lives.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{Cancelled, ConflictDone, JobState, NewJob, OnConflict, Redriven, UniqueScope, Verdict};

use super::claimed::ids;
use super::site::Site;
use crate::support::{EnqueueOptions, Ping, Unique};

fn job(site: &Site, n: u32, unique: Unique) -> NewJob {
    site.job("acme", &Ping { n }, EnqueueOptions { unique: Some(unique), ..EnqueueOptions::default() })
}

async fn accepted(site: &Site, job: &NewJob) -> bool {
    site.push(std::slice::from_ref(job)).await.accepted == 1
}

/// The same push, answered with the job that was there.
async fn assert_taken(site: &Site, job: &NewJob, by: &NewJob) {
    let outcome = site.push(std::slice::from_ref(job)).await;
    assert_eq!((outcome.accepted, outcome.duplicates), (0, 1));
    let conflict = &outcome.conflicts[0];
    assert_eq!((conflict.id, conflict.existing, conflict.done), (job.id, by.id, ConflictDone::Kept));
}

pub(super) async fn every_end_frees_the_key_and_nothing_else_does(site: Site) {
    let new = || job(&site, 1, Unique::args());
    let reason = String::new;
    for verdict in [
        Verdict::Completed,
        Verdict::Discarded { code: "x", reason: reason() },
        Verdict::Quarantined { code: "x", reason: reason() },
        Verdict::Dropped { reason: reason() },
    ] {
        let first = new();
        assert!(accepted(&site, &first).await, "{verdict:?}");
        assert_taken(&site, &new(), &first).await;
        let claimed = site.fetch_one().await;
        assert_taken(&site, &new(), &first).await;
        assert!(site.finish(&claimed, verdict).await);
    }
    let first = new();
    assert!(accepted(&site, &first).await);
    assert!(accepted(&site, &job(&site, 2, Unique::args())).await, "other arguments");
    let claimed = site.fetch(2).await;
    assert!(site.finish(&claimed[0], Verdict::Retry { after: Duration::ZERO, error: reason() }).await);
    assert_taken(&site, &new(), &first).await;
    site.fetch(1).await;
    site.let_die().await;
    assert_taken(&site, &new(), &first).await;
    assert_eq!(site.cancel("acme", first.id).await, Cancelled::Now);
    assert!(accepted(&site, &new()).await);
    site.cancel_partition("acme").await;
    assert!(accepted(&site, &new()).await, "called off with its tenant");
}

pub(super) async fn a_redriven_job_takes_its_key_again_or_stays(site: Site) {
    let (first, second) = (job(&site, 1, Unique::args()), job(&site, 1, Unique::args()));
    assert!(accepted(&site, &first).await);
    let claimed = site.fetch_one().await;
    assert!(site.finish(&claimed, Verdict::Discarded { code: "x", reason: String::new() }).await);
    assert!(accepted(&site, &second).await);
    assert_eq!(site.redrive("acme", first.id).await, Redriven::KeyTaken);
    site.complete(&site.fetch(1).await).await;
    assert_eq!(site.redrive("acme", first.id).await, Redriven::Started);
    assert_taken(&site, &second, &first).await;
}

pub(super) async fn until_started_lets_one_wait_while_one_runs(site: Site) {
    let unique = Unique::args().scope(UniqueScope::UntilStarted);
    let (first, second) = (job(&site, 1, unique), job(&site, 1, unique));
    assert!(accepted(&site, &first).await);
    assert_taken(&site, &second, &first).await;
    let running = site.fetch(1).await;
    assert!(accepted(&site, &second).await);
    site.complete(&running).await;
    assert_taken(&site, &job(&site, 1, unique), &second).await;
}

pub(super) async fn a_period_outlives_the_job(site: Site) {
    let unique = Unique::idempotency_key("upload-7");
    let first = job(&site, 1, unique);
    assert!(accepted(&site, &first).await);
    site.complete(&site.fetch(1).await).await;
    assert_taken(&site, &job(&site, 2, unique), &first).await;
    assert!(accepted(&site, &first).await, "a job is not in its own way");
    site.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    assert!(accepted(&site, &job(&site, 2, unique)).await);
}

pub(super) async fn replace_takes_the_place(site: Site) {
    let unique = Unique::kind().on_conflict(OnConflict::Replace);
    let (first, behind, second) = (job(&site, 1, unique), site.ping("acme"), job(&site, 2, unique));
    site.push(std::slice::from_ref(&first)).await;
    site.push(std::slice::from_ref(&behind)).await;
    let outcome = site.push(std::slice::from_ref(&second)).await;
    assert_eq!((outcome.accepted, outcome.conflicts[0].done), (1, ConflictDone::Replaced));
    assert_eq!(site.lookup("acme", first.id).await.unwrap().state, JobState::Cancelled);
    assert_eq!(ids(&site.fetch(1).await), [second.id], "the first place");
    assert_taken(&site, &job(&site, 3, unique), &second).await;
    // A job that waits for its time keeps that time.
    let unique = Some(Unique::args().on_conflict(OnConflict::Replace));
    let scheduled_at = Some(site.clock.now() + Duration::from_secs(60));
    let at_once = EnqueueOptions { unique, ..EnqueueOptions::default() };
    let timed = site.job("acme", &Ping { n: 4 }, EnqueueOptions { scheduled_at, ..at_once });
    let newer = site.job("acme", &Ping { n: 4 }, at_once);
    assert!(accepted(&site, &timed).await);
    assert_eq!(site.push(std::slice::from_ref(&newer)).await.conflicts[0].done, ConflictDone::Replaced);
    let status = site.lookup("acme", newer.id).await.unwrap();
    assert_eq!((status.state, status.at), (JobState::Scheduled, scheduled_at));
}

pub(super) async fn reschedule_moves_the_job_that_is_there(site: Site) {
    let unique = Some(Unique::kind().on_conflict(OnConflict::Reschedule));
    let at = |seconds| EnqueueOptions {
        scheduled_at: Some(site.clock.now() + Duration::from_secs(seconds)),
        unique,
        ..EnqueueOptions::default()
    };
    let (sooner, first) = (at(60), site.job("acme", &Ping::default(), at(600)));
    assert!(accepted(&site, &first).await);
    let outcome = site.push(&[site.job("acme", &Ping::default(), sooner)]).await;
    assert_eq!((outcome.accepted, outcome.conflicts[0].done), (0, ConflictDone::Rescheduled));
    assert_eq!(site.lookup("acme", first.id).await.unwrap().at, sooner.scheduled_at);
    site.clock.advance(Duration::from_secs(61));
    assert_eq!(ids(&site.fetch(1).await), [first.id]);
    let outcome = site.push(&[site.job("acme", &Ping::default(), at(60))]).await;
    assert_eq!(outcome.conflicts[0].done, ConflictDone::Kept, "what runs is not put off");
}
