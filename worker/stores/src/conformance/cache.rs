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

pub(super) async fn fields(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.cache(), pair.twin.stores.cache());
    for (field, value) in [("a:1", "1/2"), ("b", "é"), ("a:1", "2/2")] {
        acme.put_field("stage", field, value, LONG).await.unwrap();
    }
    let expected = [("a:1", "2/2"), ("b", "é")].map(|(field, value)| (field.to_owned(), value.to_owned()));
    assert_eq!(acme.fields("stage").await.unwrap(), expected.into());
    assert!(twin.fields("stage").await.unwrap().is_empty());
    acme.put_field("short", "a", "1", Duration::from_millis(20)).await.unwrap();
    wait_until("the fields are gone", async || acme.fields("short").await.unwrap().is_empty()).await;
    acme.delete("stage").await.unwrap();
    assert!(acme.fields("stage").await.unwrap().is_empty());
}
