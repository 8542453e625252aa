//! One job's way through the queue.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{JobState, Kept, Priority, QueueStats, Redriven, Verdict};

use super::claimed::ids;
use super::site::Site;
use crate::support::{EnqueueOptions, Ping, Pong};

pub(super) async fn a_job_is_kept_once_and_remembered_when_done(site: Site) {
    let job = site.ping("acme");
    let twice = [job.clone(), job.clone()];
    let outcome = site.push(&twice).await;
    assert_eq!((outcome.accepted, outcome.duplicates), (1, 1));
    assert_eq!(site.push(&twice).await.duplicates, 2);
    let status = site.lookup("acme", job.id).await.unwrap();
    assert_eq!((status.state, status.skill.as_str()), (JobState::Available, "test.ping@1"));
    assert_eq!((status.priority, status.at, status.reason), (Priority::Normal, None, None));

    let claimed = site.fetch_one().await;
    assert!(claimed.id == job.id && claimed.carries(&job.payload));
    assert_eq!(site.lookup("acme", job.id).await.unwrap().state, JobState::Active);
    assert_eq!(site.push(&twice[..1]).await.duplicates, 1, "while it runs as well");
    assert!(site.fetch(10).await.is_empty());
    assert!(site.finish(&claimed, Verdict::Completed).await);
    assert!(!site.finish(&claimed, Verdict::Completed).await, "once");
    assert_eq!(site.lookup("acme", job.id).await.unwrap().state, JobState::Completed);
    let expected = QueueStats { completed_total: 1, ..QueueStats::default() };
    assert_eq!(site.stats("acme").await, expected);
    assert_eq!(site.push(&twice[..1]).await.accepted, 1, "what is done may be done again");
}

pub(super) async fn a_failure_comes_back_later_with_its_reason(site: Site) {
    let job = site.ping("acme");
    site.push(std::slice::from_ref(&job)).await;
    let claimed = site.fetch_one().await;
    let verdict = Verdict::Retry { after: Duration::from_secs(5), error: "the model\nsaid no".into() };
    assert!(site.finish(&claimed, verdict).await);
    let status = site.lookup("acme", job.id).await.unwrap();
    assert_eq!((status.state, status.attempts), (JobState::Retryable, 1));
    assert_eq!(status.at.unwrap(), site.clock.now() + Duration::from_secs(5));
    let reason = status.reason.unwrap();
    assert_eq!((reason.code.as_str(), reason.text.as_str()), ("retry", "the model said no"));
    site.clock.advance(Duration::from_millis(4_999));
    assert!(site.fetch(1).await.is_empty());
    site.clock.advance(Duration::from_millis(1));
    let again = site.fetch_one().await;
    assert!(again.fence > claimed.fence);
    let at_once = Verdict::Retry { after: Duration::ZERO, error: String::new() };
    assert!(site.finish(&again, at_once).await);
    assert_eq!(site.lookup("acme", job.id).await.unwrap().state, JobState::Available);
}

pub(super) async fn a_job_that_waits_for_a_service_spends_no_attempt_and_holds_up_no_other(site: Site) {
    let jobs = site.pings("acme", 2);
    site.push(&jobs).await;
    let claimed = site.fetch_one().await;
    let wait = Verdict::Waiting { after: Duration::from_secs(30), reason: "the model: 429".into() };
    assert!(site.finish(&claimed, wait).await);
    let status = site.lookup("acme", jobs[0].id).await.unwrap();
    assert_eq!((status.state, status.attempts, status.waits), (JobState::Retryable, 0, 1));
    assert_eq!(status.at.unwrap(), site.clock.now() + Duration::from_secs(30));
    let reason = status.reason.unwrap();
    assert_eq!((reason.code.as_str(), reason.text.as_str()), ("waits", "the model: 429"));
    let other = site.fetch_one().await;
    assert_eq!(other.id, jobs[1].id, "the tenant's other jobs go on");
    assert!(site.finish(&other, Verdict::Completed).await);
    assert!(site.fetch(10).await.is_empty());
    site.clock.advance(Duration::from_secs(30));
    let again = site.fetch_one().await;
    assert!(site.finish(&again, Verdict::Discarded { code: "waited_too_long", reason: String::new() }).await);
    assert_eq!(site.redrive("acme", jobs[0].id).await, Redriven::Started);
    assert_eq!(site.lookup("acme", jobs[0].id).await.unwrap().waits, 0, "it may wait as long once more");
}

pub(super) async fn a_dead_letter_is_kept_and_starts_again_with_all_attempts(site: Site) {
    let jobs = site.pings("acme", 3);
    site.push(&jobs).await;
    let claimed = site.fetch(2).await;
    let retry = Verdict::Retry { after: Duration::ZERO, error: String::new() };
    assert!(site.finish(&claimed[0], retry).await);
    let claimed = [site.fetch(2).await, claimed[1..].to_vec()].concat();
    for job in &claimed {
        site.clock.advance(Duration::from_secs(1));
        let reason = "x".repeat(400);
        assert!(site.finish(job, Verdict::Discarded { code: "no_use", reason }).await);
    }
    let kept = site.kept("acme", Kept::Discarded).await;
    let newest_first: Vec<_> = claimed.iter().rev().map(|job| job.id).collect();
    assert_eq!(kept.iter().map(|kept| kept.id).collect::<Vec<_>>(), newest_first);
    assert_eq!((kept[0].since, kept[0].reason.code.as_str()), (site.clock.now(), "no_use"));
    assert_eq!(kept[0].reason.text.len(), 300 - "no_use\n".len());
    let status = site.lookup("acme", jobs[0].id).await.unwrap();
    assert_eq!((status.state, status.attempts), (JobState::Discarded, 1));
    assert_eq!(site.push(&jobs[..1]).await.duplicates, 1, "a dead letter is in the queue");

    assert_eq!(site.redrive("globex", jobs[0].id).await, Redriven::NotFound);
    assert_eq!(site.redrive("acme", jobs[0].id).await, Redriven::Started);
    assert_eq!(site.redrive("acme", jobs[0].id).await, Redriven::NotFound);
    let status = site.lookup("acme", jobs[0].id).await.unwrap();
    assert_eq!((status.state, status.attempts, status.reason), (JobState::Available, 0, None));
    assert_eq!(ids(&site.fetch(10).await), [jobs[0].id]);
    let stats = site.stats("acme").await;
    assert_eq!((stats.active, stats.discarded, stats.discarded_total), (1, 2, 3));
}

pub(super) async fn a_job_given_back_goes_first_and_spends_no_attempt(site: Site) {
    let jobs = site.pings("acme", 2);
    site.push(&jobs).await;
    let claimed = site.fetch_one().await;
    assert!(site.finish(&claimed, Verdict::Released).await);
    assert!(!site.finish(&claimed, Verdict::Completed).await, "given back is given back");
    assert_eq!(site.fetch_one().await.id, jobs[0].id);
    let status = site.lookup("acme", jobs[0].id).await.unwrap();
    assert_eq!((status.attempts, status.interruptions, status.deaths), (0, 1, 0));
}

pub(super) async fn a_dropped_job_leaves_as_cancelled(site: Site) {
    let job = site.ping("acme");
    site.push(std::slice::from_ref(&job)).await;
    let claimed = site.fetch_one().await;
    assert!(site.finish(&claimed, Verdict::Dropped { reason: "called off".into() }).await);
    assert_eq!(site.lookup("acme", job.id).await.unwrap().state, JobState::Cancelled);
    let expected = QueueStats { cancelled_total: 1, ..QueueStats::default() };
    assert_eq!(site.stats("acme").await, expected);
}

pub(super) async fn a_scheduled_job_waits_for_its_time(site: Site) {
    let at = site.clock.now() + Duration::from_secs(60);
    let options = EnqueueOptions { scheduled_at: Some(at), ..EnqueueOptions::default() };
    let job = site.job("acme", &Ping::default(), options);
    site.push(std::slice::from_ref(&job)).await;
    let status = site.lookup("acme", job.id).await.unwrap();
    assert_eq!((status.state, status.at), (JobState::Scheduled, Some(at)));
    site.clock.advance(Duration::from_millis(59_999));
    assert!(site.fetch(1).await.is_empty());
    site.clock.advance(Duration::from_millis(1));
    assert_eq!(ids(&site.fetch(1).await), [job.id]);
}

pub(super) async fn high_priority_goes_first_and_none_starves(site: Site) {
    let of = |priority| EnqueueOptions { priority: Some(priority), ..EnqueueOptions::default() };
    let make = |priority| site.job("acme", &Ping::default(), of(priority));
    let low: Vec<_> = (0..10).map(|_| make(Priority::Background)).collect();
    let high: Vec<_> = (0..100).map(|_| make(Priority::High)).collect();
    site.push(&low).await;
    site.push(&high).await;
    let mut served = Vec::new();
    for _ in 0..100 {
        let claimed = site.fetch_one().await;
        site.complete(std::slice::from_ref(&claimed)).await;
        served.push(claimed.id);
    }
    let is_low = |id| low.iter().any(|job| job.id == id);
    assert!(!is_low(served[0]), "high goes first");
    let share = served.into_iter().filter(|id| is_low(*id)).count();
    assert!((1..=10).contains(&share), "{share} low jobs among 100");
}

pub(super) async fn a_parked_tenant_waits_as_a_whole(site: Site) {
    site.push(&site.pings("acme", 2)).await;
    for park in 1..=7_u64 {
        let claimed = site.fetch_one().await;
        assert!(site.finish(&claimed, Verdict::Parked { reason: "the tenant is suspended".into() }).await);
        let status = site.lookup("acme", claimed.id).await.unwrap();
        assert_eq!((status.state, status.attempts), (JobState::Parked, 0), "waiting is not failing");
        assert!(site.fetch(10).await.is_empty(), "the other job waits as well");
        site.clock.advance(Duration::from_millis(park.min(5) * 1_000 + 250));
    }
    let claimed = site.fetch(10).await;
    assert_eq!(claimed.len(), 2);
    let parked = Verdict::Parked { reason: String::new() };
    assert!(site.finish(&claimed[0], parked).await);
    site.push(&site.pings("acme", 1)).await;
    assert!(site.fetch(10).await.is_empty());
    site.complete(&claimed[1..]).await;
    assert_eq!(site.fetch(10).await.len(), 1, "one that completes shows that the tenant may run");
}

pub(super) async fn a_skill_that_nobody_serves_is_in_nobodys_way(site: Site) {
    let stranger = site.job("acme", &Pong::default(), EnqueueOptions::default());
    let known = site.ping("acme");
    site.push(&[stranger.clone(), known.clone()]).await;
    assert_eq!(ids(&site.fetch(10).await), [known.id]);
    assert!(site.fetch(10).await.is_empty());
    let status = site.lookup("acme", stranger.id).await.unwrap();
    assert_eq!((status.state, status.skill_declared), (JobState::Available, false));
    let stats = site.stats("acme").await;
    assert_eq!((stats.available, stats.undeclared.get("test.pong@2")), (1, Some(&1)));
}

/// On Redis a cancelled job leaves a tombstone in its list until the next fetch; here no worker fetches.
pub(super) async fn what_was_cancelled_waits_for_no_worker(site: Site) {
    let pong = || site.job("acme", &Pong::default(), EnqueueOptions::default());
    let (strangers, known) = ([pong(), pong(), pong()], site.ping("acme"));
    site.push(&strangers).await;
    site.push(std::slice::from_ref(&known)).await;
    for (gone, left) in [(0, Some(2)), (2, Some(1)), (1, None)] {
        site.cancel("acme", strangers[gone].id).await;
        let stats = site.stats("acme").await;
        assert_eq!(stats.undeclared.get("test.pong@2").copied(), left, "{stats:?}");
        assert_eq!(stats.available, left.unwrap_or(0) + 1, "{stats:?}");
    }
}

pub(super) async fn another_tenants_job_is_not_found(site: Site) {
    let job = site.ping("acme");
    site.push(std::slice::from_ref(&job)).await;
    assert!(site.lookup("globex", job.id).await.is_none());
    assert_eq!(site.stats("globex").await, QueueStats::default());
    assert!(site.lookup("acme", site.ping("acme").id).await.is_none());
}
