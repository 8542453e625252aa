//! What was lost beside the queue's back is found again.

use std::time::Duration;

use fair_queue::{PartitionShare, Verdict};

use crate::support::{Harness, ids, tenant};

async fn heal_all(h: &Harness) -> usize {
    let (mut cursor, mut claims) = ("0".to_owned(), 0);
    loop {
        let healed = h.queue.heal(0, &cursor, 10).await.unwrap();
        claims += healed.claims;
        cursor = healed.cursor;
        if cursor == "0" {
            return claims;
        }
    }
}

async fn delete(h: &Harness, command: &str, key: &str, rest: &[&str]) {
    let mut redis = h.redis().await;
    let mut delete = redis::cmd(command);
    delete.arg(h.key(key));
    for argument in rest {
        delete.arg(argument);
    }
    let _: redis::Value = delete.query_async(&mut redis).await.unwrap();
}

/// Cases 18 and 3: leases, claim records and counts deleted by hand, in every combination. No job is lost, no slot
/// stays taken, and a live worker keeps its claim.
#[tokio::test]
async fn case_18_a_claim_without_a_lease_gets_one() {
    for lost in 1..8 {
        let h = Harness::new().await;
        let share = PartitionShare { cap: Some(2), ..PartitionShare::default() };
        h.queue.partition_set(&tenant("acme"), share).await.unwrap();
        let jobs: Vec<_> = (0..4).map(|_| h.ping("acme")).chain([h.ping("globex")]).collect();
        h.push(&jobs).await;
        let claim = h.fetch(10).await;
        let other = h.fetch_as("other", 10).await;
        let fence = claim.fence.to_string();
        assert_eq!((claim.jobs.len() + other.jobs.len(), heal_all(&h).await), (3, 0), "all is well");
        if lost & 1 != 0 {
            delete(&h, "ZREM", "l", &[&fence]).await;
        }
        if lost & 2 != 0 {
            delete(&h, "DEL", &format!("c:{fence}"), &[]).await;
        }
        if lost & 4 != 0 {
            delete(&h, "HDEL", "n", &[&fence]).await;
        }
        assert_eq!(heal_all(&h).await, usize::from(lost & 1 != 0));
        // Its worker lives: it renews, and finishes one of its jobs.
        assert_eq!(h.queue.renew(0, &[claim.fence]).await.unwrap(), [true], "lost {lost}");
        assert!(h.finish(&claim, 0, Verdict::Completed).await);
        heal_all(&h).await;
        // Its worker dies: everything runs all the same.
        let mut done = 1;
        for _ in 0..10 {
            h.let_die().await;
            heal_all(&h).await;
            h.clock.advance(Duration::from_secs(5));
            let claim = h.fetch(10).await;
            done += claim.jobs.len();
            h.complete(&claim).await;
        }
        assert_eq!(done, 5, "lost {lost}");
        assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().open(), 0);
    }
}

/// Case 5: no repair pass has to come first.
#[tokio::test]
async fn case_5_a_cap_holds_from_the_first_fetch_after_a_crash() {
    let h = Harness::new().await;
    h.queue
        .partition_set(&tenant("acme"), PartitionShare { cap: Some(1), ..PartitionShare::default() })
        .await
        .unwrap();
    h.push(&[h.ping("acme"), h.ping("acme")]).await;
    assert_eq!(h.fetch_as("crashed", 1).await.jobs.len(), 1);
    for number in 0..5 {
        assert!(h.fetch_as(&format!("new-{number}"), 10).await.jobs.is_empty());
    }
    h.let_die().await;
    assert_eq!(h.fetch_as("new", 10).await.jobs.len(), 1);
    assert!(h.fetch_as("newer", 10).await.jobs.is_empty());
}

/// A type's slot that no job holds is freed.
#[tokio::test]
async fn a_slot_of_a_type_that_nobody_holds_is_free() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let type_caps = [("test.ping".to_owned(), Some(1))].into();
    h.queue.partition_set(&acme, PartitionShare { type_caps, ..PartitionShare::default() }).await.unwrap();
    delete(&h, "SADD", "t:acme:a:test.ping", &["somebody"]).await;
    h.push(&[h.ping("acme")]).await;
    assert!(h.fetch(1).await.jobs.is_empty());
    heal_all(&h).await;
    assert_eq!(h.fetch(1).await.jobs.len(), 1);
}

/// A tenant that has nothing in the queue and no settings costs nothing; when it comes back it has neither credit nor
/// debt that matters.
#[tokio::test]
async fn nothing_is_kept_of_an_idle_tenant_without_settings() {
    let h = Harness::new().await;
    for number in 0..30 {
        h.push(&[h.ping(&format!("tenant-{number}"))]).await;
    }
    h.queue
        .partition_set(&tenant("vip"), PartitionShare { weight: Some(5), ..PartitionShare::default() })
        .await
        .unwrap();
    loop {
        let claim = h.fetch(10).await;
        if claim.jobs.is_empty() {
            break;
        }
        h.complete(&claim).await;
    }
    h.push(&[h.ping("late")]).await;
    let late = h.fetch(1).await;
    assert_eq!(ids(&late).len(), 1);
    heal_all(&h).await;
    let mut redis = h.redis().await;
    let mut rows: Vec<String> = redis::cmd("HKEYS").arg(h.key("T")).query_async(&mut redis).await.unwrap();
    rows.sort();
    assert_eq!(rows, ["late", "vip"]);
}
