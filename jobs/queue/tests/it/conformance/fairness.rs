//! The order of tenants when all of them have work.

use std::collections::BTreeMap;
use std::time::Duration;

use fair_queue::{PartitionShare, Verdict};

use super::site::Site;

async fn serve(site: &Site, jobs: usize, batch: usize) -> Vec<String> {
    let mut served = Vec::new();
    while served.len() < jobs {
        let claimed = site.fetch(batch).await;
        assert!(!claimed.is_empty(), "the backlog is larger than this scenario");
        served.extend(claimed.iter().map(|job| job.tenant.clone()));
        site.complete(&claimed).await;
    }
    served
}

fn shares(served: Vec<String>) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for tenant in served {
        *shares.entry(tenant).or_default() += 1;
    }
    shares
}

pub(super) async fn shares_follow_weights(site: Site) {
    for (name, weight) in [("one", 1), ("two", 2), ("five", 5)] {
        site.partition_set(name, PartitionShare { weight: Some(weight), ..PartitionShare::default() }).await;
        site.push(&site.pings(name, 150)).await;
    }
    let served = shares(serve(&site, 160, 10).await);
    for (name, expected) in [("one", 20), ("two", 40), ("five", 100)] {
        assert!(served[name].abs_diff(expected) <= 4, "{served:?}");
    }
}

pub(super) async fn a_newcomer_gets_neither_credit_nor_a_place_behind_the_backlog(site: Site) {
    site.push(&site.pings("big", 300)).await;
    serve(&site, 100, 10).await;
    site.push(&site.pings("late", 100)).await;
    let served = serve(&site, 100, 10).await;
    assert!(served[..4].contains(&"late".to_owned()), "served soon");
    let count = shares(served)["late"];
    assert!((48..=52).contains(&count), "the time it was idle is not paid back: {count} of 100");
}

pub(super) async fn a_cap_is_held_and_a_higher_one_applies_at_once(site: Site) {
    let cap = |cap| PartitionShare { cap: Some(cap), ..PartitionShare::default() };
    site.partition_set("acme", cap(2)).await;
    site.push(&site.pings("acme", 20)).await;
    let claimed = site.fetch(10).await;
    assert_eq!(claimed.len(), 2);
    assert!(site.fetch(10).await.is_empty());
    assert!(site.finish(&claimed[0], Verdict::Released).await);
    assert_eq!(site.fetch(10).await.len(), 1, "every end frees the slot");
    site.let_die().await;
    assert_eq!(site.fetch(10).await.len(), 2, "a death frees it too");
    site.partition_set("acme", cap(5)).await;
    assert_eq!(site.fetch(10).await.len(), 3);
}

pub(super) async fn a_rate_is_held_and_its_burst_allowed(site: Site) {
    let share = PartitionShare { interval_ms: Some(100), burst: Some(3), ..PartitionShare::default() };
    site.partition_set("acme", share).await;
    site.push(&site.pings("acme", 30)).await;
    let mut started = Vec::new();
    for _ in 0..10 {
        let mut count = 0;
        loop {
            let claimed = site.fetch(10).await;
            count += claimed.len();
            if claimed.is_empty() {
                break;
            }
            site.complete(&claimed).await;
        }
        started.push(count);
        site.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(started[0], 3);
    assert!(started[1..].iter().all(|&count| count == 1), "{started:?}");
}

pub(super) async fn a_paused_tenant_is_invisible_to_others(site: Site) {
    let paused = |paused| PartitionShare { paused: Some(paused), ..PartitionShare::default() };
    for name in ["paused", "other"] {
        site.push(&site.pings(name, 10)).await;
    }
    site.partition_set("paused", paused(true)).await;
    assert!(serve(&site, 10, 3).await.iter().all(|name| name == "other"));
    assert!(site.fetch(10).await.is_empty());
    site.partition_set("paused", paused(false)).await;
    assert_eq!(site.fetch(10).await.len(), 10);
}
