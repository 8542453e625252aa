//! Cancelling jobs.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{CancelReport, Cancelled, JobId, JobState, Kept, OnFailure, OpenGroup, Verdict};

use super::claimed::ids;
use super::site::Site;
use crate::support::{EnqueueOptions, Ping};

fn failed() -> Verdict {
    Verdict::Discarded { code: "x", reason: String::new() }
}

async fn state(site: &Site, id: JobId) -> Option<JobState> {
    site.lookup("acme", id).await.map(|status| status.state)
}

/// A group that is pushed as a whole: itself and its members.
async fn group(site: &Site, members: usize, on_failure: OnFailure) -> (OpenGroup, Vec<JobId>) {
    let finish = site.fan_out(&site.ping("acme"), members);
    let group = OpenGroup { on_failure, ..finish.group.unwrap() };
    assert_eq!(site.push_group(&group, &finish.children).await.accepted, members);
    (group, finish.children.iter().map(|job| job.id).collect())
}

pub(super) async fn what_waits_leaves_and_what_runs_does_not_come_back(site: Site) {
    let later = EnqueueOptions {
        scheduled_at: Some(site.clock.now() + Duration::from_secs(60)),
        ..EnqueueOptions::default()
    };
    let jobs = [site.pings("acme", 3), vec![site.job("acme", &Ping::default(), later)]].concat();
    site.push(&jobs).await;
    let running = site.fetch(2).await;
    for waiting in &jobs[2..] {
        assert_eq!(site.cancel("globex", waiting.id).await, Cancelled::NotFound);
        assert_eq!(site.cancel("acme", waiting.id).await, Cancelled::Now);
        assert_eq!(site.cancel("acme", waiting.id).await, Cancelled::NotFound);
        assert_eq!(state(&site, waiting.id).await, Some(JobState::Cancelled));
    }
    for job in &running {
        assert_eq!(site.cancel("acme", job.id).await, Cancelled::Stopping);
        assert_eq!(state(&site, job.id).await, Some(JobState::Active));
    }
    let again = Verdict::Retry { after: Duration::ZERO, error: String::new() };
    assert!(site.finish(&running[0], again).await);
    site.let_die().await;
    site.clock.advance(Duration::from_secs(60));
    assert!(site.fetch(10).await.is_empty());
    let stats = site.stats("acme").await;
    assert_eq!((stats.open(), stats.cancelled_total), (0, 4));
}

pub(super) async fn a_cancelled_job_that_completes_has_completed(site: Site) {
    let jobs = site.pings("acme", 2);
    site.push(&jobs).await;
    let running = site.fetch(2).await;
    for job in &running {
        site.cancel("acme", job.id).await;
    }
    assert!(site.finish(&running[0], Verdict::Completed).await);
    assert!(site.finish(&running[1], failed()).await, "but what is given up is not kept");
    assert_eq!(state(&site, running[0].id).await, Some(JobState::Completed));
    assert_eq!(state(&site, running[1].id).await, Some(JobState::Cancelled));
    assert!(site.kept("acme", Kept::Discarded).await.is_empty());
}

pub(super) async fn a_failure_cancels_the_rest_of_a_group_that_says_so(site: Site) {
    let (group, members) = group(&site, 5, OnFailure::Cancel).await;
    let running = site.fetch(2).await;
    assert!(site.finish(&running[0], failed()).await);
    for cancelled in members[2..].iter().chain([&group.continuation.id]) {
        assert_eq!(state(&site, *cancelled).await, Some(JobState::Cancelled));
    }
    // The running job receives a stop signal.
    assert!(site.finish(&running[1], Verdict::Released).await);
    assert!(site.fetch(10).await.is_empty());
    assert_eq!(site.stats("acme").await.open(), 0);
}

pub(super) async fn a_group_is_called_off_as_a_whole(site: Site) {
    let (group, members) = group(&site, 20, OnFailure::Continue).await;
    assert_eq!(site.cancel_group("globex", group.id).await, None);
    site.complete(&site.fetch(3).await).await;
    assert_eq!(site.cancel_group("acme", group.id).await, Some(17));
    assert_eq!(site.cancel_group("acme", group.id).await, None);
    for cancelled in [members[10], members[19], group.continuation.id] {
        assert_eq!(state(&site, cancelled).await, Some(JobState::Cancelled));
    }
    assert!(site.fetch(10).await.is_empty());
    let stats = site.stats("acme").await;
    assert_eq!((stats.open(), stats.completed_total, stats.cancelled_total), (0, 3, 18));
}

pub(super) async fn everything_of_a_tenant_is_called_off_and_new_work_runs(site: Site) {
    let later = EnqueueOptions {
        scheduled_at: Some(site.clock.now() + Duration::from_secs(60)),
        ..EnqueueOptions::default()
    };
    let (group, _) = group(&site, 3, OnFailure::Continue).await;
    site.push(&[site.job("acme", &Ping::default(), later), site.ping("globex")]).await;
    let running: Vec<_> = site.fetch(2).await.into_iter().filter(|job| job.tenant == "acme").collect();
    let report = site.cancel_partition("acme").await;
    let expected = CancelReport { cancelled: 4 - running.len() as u64, stopping: running.len() as u64 };
    assert_eq!(report, expected);
    let new = site.ping("acme");
    site.push(std::slice::from_ref(&new)).await;
    for job in &running {
        assert!(site.finish(job, Verdict::Released).await);
    }
    site.clock.advance(Duration::from_secs(60));
    let claimed = site.fetch(10).await;
    let acme: Vec<_> = claimed.iter().filter(|job| job.tenant == "acme").collect();
    assert_eq!(acme.iter().map(|job| job.id).collect::<Vec<_>>(), [new.id]);
    assert_eq!(site.stats("acme").await.open(), 1, "the continuation is called off as well");
    assert_eq!(state(&site, group.continuation.id).await, None);
}

pub(super) async fn a_dead_letter_is_purged(site: Site) {
    let job = site.ping("acme");
    site.push(std::slice::from_ref(&job)).await;
    let claimed = site.fetch_one().await;
    assert!(!site.purge("acme", job.id).await, "only what is kept");
    assert!(site.finish(&claimed, failed()).await);
    assert_eq!(site.cancel("acme", job.id).await, Cancelled::Kept);
    assert!(!site.purge("globex", job.id).await);
    assert!(site.purge("acme", job.id).await);
    assert_eq!(state(&site, job.id).await, None);
    assert_eq!(site.push(&[job]).await.accepted, 1);
    assert_eq!(ids(&site.fetch(10).await).len(), 1);
}
