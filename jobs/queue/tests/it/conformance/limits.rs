//! What a tenant may use, and whether work flows.

use std::collections::BTreeMap;
use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{Flow, JobState, LimitReached, NewJob, PartitionShare, QueueError, Verdict};

use super::claimed::ids;
use super::site::Site;
use crate::support::{EnqueueOptions, Ping, Pong, skill_of};

async fn refusal(site: &Site, jobs: &[NewJob]) -> LimitReached {
    match site.try_push(jobs).await {
        Err(QueueError::LimitReached(mut limits)) if limits.len() == 1 => limits.remove(0),
        other => panic!("expected one limit, got {other:?}"),
    }
}

pub(super) async fn a_full_backlog_refuses_all_of_a_tenants_jobs_and_nobody_elses(site: Site) {
    let quota = |jobs| PartitionShare { backlog_jobs: Some(jobs), ..PartitionShare::default() };
    site.partition_set("acme", quota(3)).await;
    let first = site.pings("acme", 2);
    site.push(&first).await;
    let more = [site.pings("acme", 2), site.pings("globex", 1)].concat();
    let limit = refusal(&site, &more).await;
    assert_eq!((limit.limit.as_str(), limit.current, limit.maximum), ("backlog_jobs", 2, 3));
    assert_eq!((limit.partition.as_str(), limit.retry_after >= Duration::from_secs(1)), ("acme", true));
    assert_eq!(site.stats("acme").await.available, 2, "none of its jobs came in");
    assert_eq!(site.stats("globex").await.available, 1, "the neighbour's did");
    site.push(&site.pings("acme", 1)).await;
    assert_eq!(site.push(&first).await.duplicates, 2, "what is there already adds nothing");
    site.partition_set("acme", quota(0)).await;
    site.push(&site.pings("acme", 1)).await;
}

pub(super) async fn scheduled_jobs_and_bytes_have_quotas(site: Site) {
    let later = || {
        let scheduled_at = Some(site.clock.now() + Duration::from_secs(60));
        site.job("acme", &Ping::default(), EnqueueOptions { scheduled_at, ..EnqueueOptions::default() })
    };
    let share =
        PartitionShare { backlog_bytes: Some(2_500), scheduled_jobs: Some(1), ..PartitionShare::default() };
    site.partition_set("acme", share).await;
    site.push(&[later()]).await;
    let limit = refusal(&site, &[later()]).await;
    assert_eq!((limit.limit.as_str(), limit.current, limit.maximum), ("scheduled_jobs", 1, 1));
    let mut accepted = 1;
    while site.try_push(&site.pings("acme", 1)).await.is_ok() {
        accepted += 1;
        assert!(accepted < 10, "some job is one too many");
    }
    let limit = refusal(&site, &site.pings("acme", 1)).await;
    assert_eq!((limit.limit.as_str(), limit.maximum), ("backlog_bytes", 2_500));
    let job_bytes = limit.current / accepted;
    assert!((500..1_200).contains(&job_bytes), "{job_bytes} bytes a job");
    site.clock.advance(Duration::from_secs(60));
    loop {
        let claimed = site.fetch(10).await;
        if claimed.is_empty() {
            break;
        }
        site.complete(&claimed).await;
    }
    for _ in 0..accepted {
        site.push(&site.pings("acme", 1)).await;
    }
}

pub(super) async fn a_type_has_a_cap_of_its_own(mut site: Site) {
    site.skills.push(skill_of::<Pong>());
    let cap = |cap| PartitionShare {
        type_caps: BTreeMap::from([("test.ping".to_owned(), cap)]),
        ..PartitionShare::default()
    };
    site.push(&site.pings("acme", 6)).await;
    let first = site.fetch(1).await;
    site.partition_set("acme", cap(Some(2))).await;
    site.push(&[site.job("acme", &Pong::default(), EnqueueOptions::default())]).await;
    assert_eq!(site.fetch(10).await.len(), 2, "one ping beside the one that runs, and the pong");
    assert!(site.fetch(10).await.is_empty());
    site.complete(&first).await;
    let next = site.fetch(10).await;
    assert_eq!(next.len(), 1);
    assert!(site.finish(&next[0], Verdict::Released).await);
    assert_eq!(ids(&site.fetch(10).await), ids(&next));
    site.let_die().await;
    assert_eq!(site.fetch(10).await.len(), 3, "two pings and the pong: a dead worker leaks no slot");
    site.partition_set("acme", cap(None)).await;
    assert!(!site.fetch(10).await.is_empty(), "a cap that is lifted is lifted at once");
}

pub(super) async fn queues_are_paused_for_all_or_for_one(site: Site) {
    site.push(&[site.ping("acme"), site.ping("globex")]).await;
    site.partition_queue_set("acme", "test", Flow::Paused).await;
    let claimed = site.fetch(10).await;
    assert_eq!((claimed.len(), claimed[0].tenant.as_str()), (1, "globex"));
    site.push(&site.pings("acme", 1)).await;
    assert!(site.fetch(10).await.is_empty(), "what comes meanwhile waits too");
    site.partition_queue_set("acme", "test", Flow::Open).await;
    assert_eq!(site.fetch(1).await.len(), 1);
    site.queue_set("test", Flow::Paused).await;
    site.push(&site.pings("globex", 1)).await;
    assert!(site.fetch(10).await.is_empty());
    site.queue_set("other", Flow::Paused).await;
    site.queue_set("test", Flow::Open).await;
    assert_eq!(site.fetch(10).await.len(), 2);
}

pub(super) async fn what_drains_takes_nothing_new(site: Site) {
    let draining = |on| PartitionShare { draining: Some(on), ..PartitionShare::default() };
    site.push(&site.pings("acme", 1)).await;
    site.partition_set("acme", draining(true)).await;
    let more = site.pings("acme", 1);
    let limit = refusal(&site, &more).await;
    assert_eq!((limit.limit.as_str(), limit.current, limit.maximum), ("tenant_draining", 0, 0));
    assert_eq!(site.fetch(10).await.len(), 1, "what is there runs");
    site.partition_set("acme", draining(false)).await;
    site.partition_queue_set("acme", "test", Flow::Draining).await;
    assert_eq!(refusal(&site, &more).await.limit, "tenant_queue_draining");
    site.partition_queue_set("acme", "test", Flow::Open).await;
    site.queue_set("test", Flow::Draining).await;
    assert_eq!(refusal(&site, &more).await.limit, "queue_draining");
    site.queue_set("test", Flow::Open).await;
    site.push(&more).await;
}

pub(super) async fn a_suspended_tenants_jobs_say_that_they_are_parked(site: Site) {
    let suspended = |on| PartitionShare { suspended: Some(on), ..PartitionShare::default() };
    let job = site.ping("acme");
    let stranger = site.job("acme", &Pong::default(), EnqueueOptions::default());
    site.push(&[job.clone(), stranger]).await;
    site.partition_set("acme", suspended(true)).await;
    assert!(site.fetch(10).await.is_empty());
    assert_eq!(site.lookup("acme", job.id).await.unwrap().state, JobState::Parked);
    let stats = site.stats("acme").await;
    assert_eq!((stats.available, stats.parked, stats.undeclared.len()), (0, 2, 0), "{stats:?}");
    site.partition_set("acme", suspended(false)).await;
    let stats = site.stats("acme").await;
    assert_eq!((stats.available, stats.parked, stats.undeclared.len()), (2, 0, 2), "{stats:?}");
    assert_eq!(site.lookup("acme", job.id).await.unwrap().state, JobState::Available);
    assert_eq!(ids(&site.fetch(10).await), [job.id]);
}
