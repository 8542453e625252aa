//! Many partitions at a glance.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{Flow, PartitionOverview, PartitionShare, PartitionState, Verdict};

use crate::support::{EnqueueOptions, Harness, Ping, tenant};

async fn one(h: &Harness, name: &str) -> PartitionOverview {
    let found = h.queue.overview(&[tenant(name)]).await.unwrap();
    assert_eq!(found.len(), 1);
    found.into_iter().next().unwrap()
}

async fn active(h: &Harness) -> Vec<String> {
    h.queue.active_partitions(0, 1_000).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_partition_is_described_by_what_keeps_it_waiting() {
    let h = Harness::new().await;
    let share = PartitionShare { cap: Some(1), weight: Some(3), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), share).await.unwrap();
    let made_at = h.clock.now();
    h.push(&[h.ping("acme"), h.ping("acme")]).await;
    let ready = one(&h, "acme").await;
    assert_eq!((ready.state, ready.available, ready.active), (PartitionState::Ready, 2, 0));
    assert_eq!((ready.cap, ready.weight, ready.oldest_at), (Some(1), 3, Some(made_at)));
    let claim = h.fetch(1).await;
    let capped = one(&h, "acme").await;
    assert_eq!((capped.state, capped.available, capped.active), (PartitionState::Capped, 1, 1));
    h.finish(&claim, 0, Verdict::Discarded { code: "x", reason: String::new() }).await;
    let failed = one(&h, "acme").await;
    assert_eq!((failed.state, failed.discarded, failed.discarded_total), (PartitionState::Ready, 1, 1));
    for (share, state) in [
        (PartitionShare { paused: Some(true), ..PartitionShare::default() }, PartitionState::Paused),
        (PartitionShare { suspended: Some(true), ..PartitionShare::default() }, PartitionState::Suspended),
        (
            PartitionShare { paused: Some(false), suspended: Some(false), ..PartitionShare::default() },
            PartitionState::Ready,
        ),
    ] {
        h.queue.partition_set(&tenant("acme"), share).await.unwrap();
        let found = one(&h, "acme").await;
        assert_eq!((found.state, found.waiting()), (state, 1), "{found:?}");
    }
    let queue = h.ping("acme").skill.queue().to_owned();
    h.queue.partition_queue_set(&tenant("acme"), &queue, Flow::Paused).await.unwrap();
    assert_eq!(one(&h, "acme").await.state, PartitionState::Paused, "its only queue is");
    assert_eq!(one(&h, "unknown").await.state, PartitionState::Idle);
}

#[tokio::test]
async fn partitions_with_work_are_found_without_looking_at_the_others() {
    let h = Harness::new().await;
    for idle in 0..50 {
        let share = PartitionShare { cap: Some(4), ..PartitionShare::default() };
        h.queue.partition_set(&tenant(&format!("idle-{idle}")), share).await.unwrap();
    }
    assert_eq!(active(&h).await, [""; 0]);
    h.push(&[h.ping("acme")]).await;
    let later = EnqueueOptions {
        scheduled_at: Some(h.clock.now() + Duration::from_secs(60)),
        ..EnqueueOptions::default()
    };
    h.push(&[h.job("later", &Ping::default(), later)]).await;
    assert_eq!(active(&h).await, ["acme", "later"]);
    let claim = h.fetch(1).await;
    assert_eq!(active(&h).await, ["acme", "later"], "it runs");
    h.finish(&claim, 0, Verdict::Completed).await;
    // The record of a claim outlives its last job, so that a partition may be named that has none left.
    let left = active(&h).await;
    assert!(
        left.contains(&"later".to_owned()) && !left.iter().any(|name| name.starts_with("idle")),
        "{left:?}"
    );
    let asked = ["later", "acme", "idle-1"].map(tenant);
    let found = h.queue.overview(&asked).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| one.partition.to_string()).collect();
    assert_eq!(found, ["later", "acme", "idle-1"], "in the order of the question");
}
