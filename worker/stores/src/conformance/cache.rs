use std::time::Duration;

use super::fixture::{Pair, wait_until};
use crate::Opened;

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
