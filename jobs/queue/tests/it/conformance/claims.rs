//! Leases, fences, and workers that vanish.

use std::time::Duration;

use fair_queue::testing::MemoryQueue;
use fair_queue::{JobState, Kept, Redriven, Verdict};

use super::claimed::ids;
use super::site::Site;

pub(super) async fn a_stale_fence_changes_nothing(site: Site) {
    let job = site.ping("acme");
    site.push(std::slice::from_ref(&job)).await;
    let slow = site.fetch_one().await;
    assert_eq!(site.let_die().await, []);
    let quick = site.fetch_one().await;
    assert!(quick.fence > slow.fence && quick.id == slow.id);
    let reason = String::new;
    for verdict in [
        Verdict::Completed,
        Verdict::Retry { after: Duration::ZERO, error: reason() },
        Verdict::Discarded { code: "x", reason: reason() },
        Verdict::Quarantined { code: "x", reason: reason() },
        Verdict::Waiting { after: Duration::ZERO, reason: reason() },
        Verdict::Parked { reason: reason() },
        Verdict::Dropped { reason: reason() },
        Verdict::Released,
    ] {
        assert!(!site.finish(&slow, verdict.clone()).await, "{verdict:?}");
        let status = site.lookup("acme", job.id).await.unwrap();
        assert_eq!((status.state, status.attempts, status.deaths), (JobState::Active, 0, 1), "{verdict:?}");
    }
    assert!(!site.renew(&slow).await && site.renew(&quick).await);
    site.complete(&[quick]).await;
    assert_eq!(site.stats("acme").await.completed_total, 1);
}

pub(super) async fn a_renewed_claim_is_kept(site: Site) {
    site.push(&site.pings("acme", 1)).await;
    let claimed = site.fetch_one().await;
    for _ in 0..5 {
        site.clock.advance(MemoryQueue::LEASE * 2 / 3);
        assert!(site.renew(&claimed).await);
        assert_eq!(site.reap().await, []);
    }
    site.complete(std::slice::from_ref(&claimed)).await;
    assert!(!site.renew(&claimed).await, "there is nothing to renew");
}

pub(super) async fn three_deaths_end_in_quarantine_and_attempts_are_untouched(site: Site) {
    let poison = site.ping("acme");
    site.push(std::slice::from_ref(&poison)).await;
    for death in 1..=3_u32 {
        assert_eq!(site.fetch_one().await.id, poison.id);
        let quarantined = site.let_die().await;
        assert_eq!(quarantined.len(), usize::from(death == 3));
        let status = site.lookup("acme", poison.id).await.unwrap();
        assert_eq!((status.deaths, status.attempts), (death, 0));
        assert_eq!(status.reason.unwrap().code, "worker_died");
        if death == 2 {
            assert!(site.fetch(1).await.is_empty(), "after the second death it waits for a moment");
        }
        site.clock.advance(Duration::from_secs(1));
    }
    let kept = site.kept("acme", Kept::Quarantined).await;
    assert_eq!((kept[0].id, kept[0].reason.code.as_str()), (poison.id, "worker_died"));
    assert_eq!(site.redrive("acme", poison.id).await, Redriven::Started);
    assert_eq!(site.lookup("acme", poison.id).await.unwrap().deaths, 0);
}

pub(super) async fn neighbours_of_a_poison_job_survive(site: Site) {
    let jobs = site.pings("acme", 8);
    site.push(&jobs).await;
    let mut done = 0;
    for _ in 0..200 {
        let claimed = site.fetch(8).await;
        if ids(&claimed).contains(&jobs[0].id) {
            site.let_die().await;
        } else {
            done += claimed.len();
            site.complete(&claimed).await;
            site.clock.advance(Duration::from_millis(500));
        }
    }
    let stats = site.stats("acme").await;
    assert_eq!((done, stats.quarantined, stats.open()), (7, 1, 0));
}
