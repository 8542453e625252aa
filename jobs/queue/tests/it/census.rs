//! How much waits and how much could start, over all tenants.

use std::time::Duration;

use fair_queue::{Census, PartitionShare, QueueOverview, SkillOverview, Verdict};
use redis::AsyncCommands as _;

use crate::support::{EnqueueOptions, Harness, Ping, skill_of, tenant};

async fn overview(h: &Harness) -> QueueOverview {
    Census::of(h.queue.clone()).take().await.unwrap()
}

/// What there is of the pings.
async fn pings(h: &Harness) -> SkillOverview {
    let skills = overview(h).await.skills;
    skills.into_iter().find(|skill| skill.skill == "test.ping@1").unwrap()
}

async fn push(h: &Harness, name: &str, count: usize) {
    h.push(&(0..count).map(|_| h.ping(name)).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn only_what_a_worker_could_start_counts_as_startable() {
    let h = Harness::new().await;
    assert_eq!(overview(&h).await, QueueOverview::default());
    let first = h.ping("acme");
    h.push(std::slice::from_ref(&first)).await;
    push(&h, "acme", 4).await;
    let found = pings(&h).await;
    assert_eq!((found.queue.as_str(), found.workers, found.ready_partitions), ("test", 0, 1));
    assert_eq!((found.waiting, found.startable, found.oldest), (5, 5, Some((tenant("acme"), first.id))));

    // A cap leaves room for two, a rate for one, and a pause for none.
    let cap = PartitionShare { cap: Some(2), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), cap).await.unwrap();
    let rate = PartitionShare { interval_ms: Some(60_000), burst: Some(1), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("globex"), rate).await.unwrap();
    let pause = PartitionShare { paused: Some(true), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("initech"), pause).await.unwrap();
    for name in ["globex", "initech"] {
        push(&h, name, 5).await;
    }
    let found = pings(&h).await;
    assert_eq!((found.ready_partitions, found.waiting, found.startable), (2, 10, 3));
    h.queue.heartbeat("w1", &[skill_of::<Ping>()], true).await.unwrap();
    assert_eq!(pings(&h).await.workers, 1);

    let claim = h.fetch(10).await;
    assert_eq!(claim.jobs.len(), 3);
    let all = overview(&h).await;
    assert_eq!((all.records, all.in_flight), (15, 3));
    let states = all.partitions;
    assert_eq!((states.capped, states.limited, states.paused, states.ready), (1, 1, 1, 0));
    assert_eq!(all.skills[0].startable, 0);
    assert_eq!(all.skills[0].oldest, None, "what may not start does not wait for a worker");
    h.complete(&claim).await;
    assert_eq!(pings(&h).await.startable, 2, "the cap has room again");
}

#[tokio::test]
async fn a_cap_of_a_type_and_cancelled_jobs_are_left_out() {
    let h = Harness::new().await;
    let caps = [("test.ping".to_owned(), Some(3))].into();
    let share = PartitionShare { type_caps: caps, ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), share).await.unwrap();
    let jobs: Vec<_> = (0..5).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    assert_eq!((pings(&h).await.waiting, pings(&h).await.startable), (5, 3));
    for job in &jobs[..3] {
        h.queue.cancel(&tenant("acme"), job.id).await.unwrap();
    }
    assert_eq!((pings(&h).await.waiting, pings(&h).await.startable), (2, 2));
}

#[tokio::test]
async fn what_waits_for_its_time_or_its_next_attempt_is_not_for_workers() {
    let h = Harness::new().await;
    let later = Some(h.clock_now() + Duration::from_secs(60));
    let options = EnqueueOptions { scheduled_at: later, ..EnqueueOptions::default() };
    h.push(&[h.job("acme", &Ping::default(), options), h.ping("acme")]).await;
    let claim = h.fetch(1).await;
    let retry = Verdict::Retry { after: Duration::from_secs(60), error: "away".to_owned() };
    assert!(h.finish(&claim, 0, retry).await);
    let all = overview(&h).await;
    assert_eq!((all.records, all.in_flight, all.skills[0].waiting, all.skills[0].startable), (2, 0, 0, 0));
}

/// Of thousands of tenants some hundreds are looked at, and stand for the rest.
#[tokio::test]
async fn very_many_tenants_are_estimated_in_one_short_call() {
    let h = Harness::new().await;
    for thousand in 0..3 {
        let names = (0..1_000).map(|number| format!("t{thousand}-{number}"));
        let jobs: Vec<_> = names.flat_map(|name| [h.ping(&name), h.ping(&name)]).collect();
        for jobs in jobs.chunks(200) {
            h.push(jobs).await;
        }
    }
    let census = Census::of(h.queue.clone());
    let found = census.take().await.unwrap();
    assert_eq!((found.records, found.skills[0].ready_partitions), (6_000, 3_000));
    assert_eq!((found.skills[0].waiting, found.skills[0].startable), (6_000, 6_000));
    // The states of tenants are counted from call to call.
    let mut ready = Vec::new();
    for _ in 0..20 {
        ready.push(census.take().await.unwrap().partitions.ready);
    }
    assert!(ready[0] < 3_000 && ready.last() == Some(&3_000), "{ready:?}");
}

#[tokio::test]
async fn a_damaged_tenant_is_left_out_and_no_more() {
    let h = Harness::new().await;
    push(&h, "acme", 2).await;
    push(&h, "globex", 3).await;
    let mut redis = h.redis().await;
    let list = h.key("t:acme:0.1");
    let _: () = redis.del(&list).await.unwrap();
    let _: () = redis.set(&list, "no list").await.unwrap();
    let found = pings(&h).await;
    assert_eq!(found.ready_partitions, 2);
    assert!(found.waiting >= 3, "{found:?}");
    assert_eq!(found.oldest.map(|(partition, _)| partition), Some(tenant("globex")));
}
