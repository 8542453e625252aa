use jobs::types::ReindexKb;
use serde_json::json;
use tests::bed::{Bed, Snapshot};
use tests::texts;

/// Through the API: every document is read again and the graph is as before.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    for name in ["one.md", "two.md", "three.md"] {
        acme.ingest(name, &texts::short(name)).await;
    }
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let answer = acme.http.post(&acme.kb("reindex"), &json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
    let path = format!("/api/v1/tenants/{}/jobs", acme.id);
    let jobs = acme.http.get(&path).await;
    assert!(jobs.body["totals"]["completed"].as_u64() >= Some(3 + 3 + 3 + 1), "{jobs:?}");
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("one.md", &texts::short("Bluebird")).await;
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    let (first, second) =
        (bed.push(&acme, &ReindexKb::default()).await, bed.push(&acme, &ReindexKb::default()).await);
    for job in [first, second] {
        assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    }
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
}

/// An empty knowledge base has nothing to reindex.
#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = bed.push(&acme, &ReindexKb::default()).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let document = other.document("heron.md").await;
    bed.push(&acme, &ReindexKb::default()).await;
    bed.run_until_empty(&acme).await;
    assert_eq!(other.document("heron.md").await.body, document.body, "not even a time stamp moved");
}
