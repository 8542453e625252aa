//! The order of tenants when all of them have work.

use std::collections::BTreeMap;
use std::time::Duration;

use fair_queue::PartitionShare;

use crate::support::{EnqueueOptions, Harness, Pong, skill_of, tenant};

fn shares(served: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for tenant in served {
        *shares.entry(tenant).or_default() += 1;
    }
    shares
}

async fn serve(h: &Harness, jobs: usize, batch: usize) -> Vec<String> {
    let mut served = Vec::new();
    while served.len() < jobs {
        let claim = h.fetch(batch).await;
        assert!(!claim.jobs.is_empty(), "the backlog is larger than this test");
        served.extend(claim.jobs.iter().map(|job| job.partition.to_string()));
        h.complete(&claim).await;
    }
    served
}

#[tokio::test]
async fn equal_tenants_get_equal_shares_whatever_they_queue() {
    let h = Harness::new().await;
    let backlog = [("big", 600), ("mid", 120), ("small", 100)];
    for (name, count) in backlog {
        let jobs: Vec<_> = (0..count).map(|_| h.ping(name)).collect();
        h.push(&jobs).await;
    }
    let served = shares(serve(&h, 240, 6).await);
    for (name, count) in served {
        assert!((78..=82).contains(&count), "{name} got {count} of 240");
    }
}

#[tokio::test]
async fn shares_follow_weights() {
    let h = Harness::new().await;
    for (name, weight) in [("one", 1), ("two", 2), ("five", 5)] {
        let share = PartitionShare { weight: Some(weight), ..PartitionShare::default() };
        h.queue.partition_set(&tenant(name), share).await.unwrap();
        let jobs: Vec<_> = (0..300).map(|_| h.ping(name)).collect();
        h.push(&jobs).await;
    }
    let served = shares(serve(&h, 400, 10).await);
    assert!((48..=52).contains(&served["one"]), "{served:?}");
    assert!((97..=103).contains(&served["two"]), "{served:?}");
    assert!((245..=255).contains(&served["five"]), "{served:?}");
}

#[tokio::test]
async fn a_newcomer_does_not_wait_behind_a_backlog_nor_live_on_credit() {
    let h = Harness::new().await;
    let jobs: Vec<_> = (0..500).map(|_| h.ping("big")).collect();
    h.push(&jobs).await;
    serve(&h, 100, 10).await;
    let late: Vec<_> = (0..100).map(|_| h.ping("late")).collect();
    h.push(&late).await;
    let served = serve(&h, 100, 10).await;
    assert!(served[..4].contains(&"late".to_owned()), "served soon");
    let count = shares(served)["late"];
    assert!((48..=52).contains(&count), "the time it was idle is not paid back: {count} of 100");
}

/// Case 17: a paused tenant does not affect others, and capped ones cost nothing.
#[tokio::test]
async fn a_paused_tenant_is_invisible_to_others() {
    let h = Harness::new().await;
    for name in ["paused", "other"] {
        let jobs: Vec<_> = (0..10).map(|_| h.ping(name)).collect();
        h.push(&jobs).await;
    }
    let pause = |paused| PartitionShare { paused: Some(paused), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("paused"), pause(true)).await.unwrap();
    assert!(serve(&h, 10, 3).await.iter().all(|name| name == "other"));
    assert!(h.fetch(10).await.jobs.is_empty());
    h.queue.partition_set(&tenant("paused"), pause(false)).await.unwrap();
    assert_eq!(h.fetch(10).await.jobs.len(), 10);
}

#[tokio::test]
async fn a_rate_is_held_and_its_burst_allowed() {
    let h = Harness::new().await;
    let share = PartitionShare { interval_ms: Some(100), burst: Some(3), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), share).await.unwrap();
    let jobs: Vec<_> = (0..30).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    let mut started = Vec::new();
    for _ in 0..10 {
        let claim = h.fetch(10).await;
        started.push(claim.jobs.len());
        h.complete(&claim).await;
        h.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(started[0], 3);
    assert!(started[1..].iter().all(|&count| count == 1), "{started:?}");
}

#[tokio::test]
async fn a_tenant_with_many_skills_gets_no_more_than_one_with_one() {
    let mut h = Harness::new().await;
    h.skills.push(skill_of::<Pong>());
    for n in 0..400 {
        h.push(&[h.ping("narrow"), h.ping("wide")]).await;
        if n < 200 {
            h.push(&[h.job("wide", &Pong { n }, EnqueueOptions::default())]).await;
        }
    }
    let served = shares(serve(&h, 400, 8).await);
    assert!((196..=204).contains(&served["wide"]), "{served:?}");
    // Both skills of the wide tenant move.
    let pongs = h.queue.stats(&tenant("wide")).await.unwrap().undeclared["test.pong@2"];
    assert!((80..=120).contains(&pongs), "{pongs} of 200 pongs left");
}

/// A tenant whose jobs no worker could run for long does not get that time back at others' expense.
#[tokio::test]
async fn waiting_in_an_undeclared_skill_earns_no_credit() {
    let mut h = Harness::new().await;
    let strangers: Vec<_> =
        (0..200).map(|n| h.job("stuck", &Pong { n }, EnqueueOptions::default())).collect();
    h.push(&strangers).await;
    let jobs: Vec<_> = (0..400).map(|_| h.ping("busy")).collect();
    h.push(&jobs).await;
    serve(&h, 200, 10).await;
    h.skills.push(skill_of::<Pong>());
    let served = shares(serve(&h, 100, 10).await);
    assert!((46..=54).contains(&served["stuck"]), "{served:?}");
}
