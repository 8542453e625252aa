use std::time::Duration;

use futures::future::join_all;

use super::fixture::{Pair, wait_until};
use crate::Opened;
use crate::model::{RateTaken, RateWindow};

const LONG: Duration = Duration::from_secs(600);

pub(super) async fn values(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.cache(), pair.twin.stores.cache());
    assert_eq!(acme.get("progress").await.unwrap(), None);
    acme.put("progress", "1", LONG).await.unwrap();
    acme.put("progress", "2 é", LONG).await.unwrap();
    assert_eq!(acme.get("progress").await.unwrap().as_deref(), Some("2 é"));
    assert_eq!(twin.get("progress").await.unwrap(), None);
    twin.delete("progress").await.unwrap();
    twin.put("progress", "twin", LONG).await.unwrap();
    assert_eq!(acme.get("progress").await.unwrap().as_deref(), Some("2 é"));
    acme.delete("progress").await.unwrap();
    acme.delete("progress").await.unwrap();
    assert_eq!(acme.get("progress").await.unwrap(), None);
    assert_eq!(twin.get("progress").await.unwrap().as_deref(), Some("twin"));
    twin.delete("progress").await.unwrap();
}

pub(super) async fn lifetime(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let cache = pair.acme.stores.cache();
    cache.put("short", "x", Duration::from_millis(20)).await.unwrap();
    cache.put("none", "x", Duration::ZERO).await.unwrap();
    cache.put("ever", "x", Duration::MAX).await.unwrap();
    for key in ["short", "none"] {
        wait_until("the value is gone", async || cache.get(key).await.unwrap().is_none()).await;
    }
    assert_eq!(cache.get("ever").await.unwrap().as_deref(), Some("x"));
    cache.delete("ever").await.unwrap();
}

pub(super) async fn rates(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.cache(), pair.twin.stores.cache());
    let window = |second: i64| RateWindow { limit: 3, window_s: 60, now_s: 1_800_000_000 + second };
    let take = async |second, more| acme.rate_take("requests", window(second), more).await.unwrap();
    let taken = |used, frees_in_s| RateTaken { taken: true, used, frees_in_s };
    let full = |used, frees_in_s| RateTaken { taken: false, used, frees_in_s };
    assert_eq!(take(0, 0).await, taken(0, 60), "looking takes nothing");
    assert_eq!(take(0, 1).await, taken(1, 60));
    assert_eq!(take(30, 3).await, full(1, 30), "all or nothing");
    assert_eq!(take(30, 2).await, taken(3, 30));
    assert_eq!(take(59, 1).await, full(3, 1));
    assert_eq!(take(59, 0).await, taken(3, 1));
    // The first entry leaves the window and makes room for one; the others follow.
    assert_eq!(take(60, 1).await, taken(3, 30));
    assert_eq!(take(60, 1).await, full(3, 30));
    assert_eq!(take(90, 2).await, taken(3, 30));
    // A limit lowered below the present amount rejects until enough entries have left the window.
    let lowered = RateWindow { limit: 1, ..window(90) };
    assert_eq!(acme.rate_take("requests", lowered, 1).await.unwrap(), full(3, 30));
    assert_eq!(take(1_000, 0).await, taken(0, 60));
    assert_eq!(twin.rate_take("requests", window(60), 1).await.unwrap(), taken(1, 60));
    assert_eq!(acme.rate_take("others", window(60), 1).await.unwrap(), taken(1, 60));
}

pub(super) async fn racing_rates(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let cache = pair.acme.stores.cache();
    let window = RateWindow { limit: 10, window_s: 60, now_s: pair.now.timestamp() };
    let takes = join_all((0..100).map(|_| cache.rate_take("racing", window, 1))).await;
    assert_eq!(takes.into_iter().filter(|take| take.as_ref().unwrap().taken).count(), 10);
}
