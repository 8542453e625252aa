use jobs::types::{FirstApiKey, ProvisionTenant};
use serde_json::json;
use tests::bed::{Bed, Http, Snapshot};
use tests::texts;

fn provision() -> ProvisionTenant {
    let api_key = FirstApiKey { id: "intruder1".parse().unwrap(), secret_sha256: "00".repeat(32) };
    ProvisionTenant { api_key }
}

/// A tenant goes from `provisioning` to `active`, and its first key is valid for it and for no other.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    assert_eq!(acme.http.get(&acme.kb("documents")).await.status, 200);
    assert_eq!(acme.http.get(&other.kb("documents")).await.status, 403);
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    let again = bed.push(&acme, &provision()).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
    assert_eq!(acme.http.get(&acme.kb("documents")).await.status, 200, "the first key still works");
}

/// A job for a tenant that does not exist never reaches the handler: it is quarantined with the reason.
#[tokio::test]
async fn gone_is_put_aside() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let ghost =
        tests::bed::TestTenant { id: format!("{}-ghost", acme.id), http: Http::new(&bed.url(), "none") };
    let job = bed.push(&ghost, &provision()).await;
    let id = ghost.id.parse().unwrap();
    let status = tests::wait::wait_for("the job to be put aside", async || {
        let status = bed.queue().lookup(&id, job).await.map_err(|error| error.to_string())?;
        let quarantined = status.as_ref().is_some_and(|status| status.state.as_str() == "quarantined");
        if quarantined { Ok(status.unwrap()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!(status.reason.unwrap().code, "tenant_unknown");
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    let again = bed.push(&acme, &provision()).await;
    bed.ended(&acme, again).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
}

/// Asking for a tenant that exists is refused and changes nothing.
#[tokio::test]
async fn a_second_tenant_of_the_same_name_is_refused() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let answer = bed.operator().post("/api/v1/tenants", &json!({ "id": acme.id, "name": "again" })).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (409, Some("tenant_exists")), "{answer:?}");
    assert_eq!(acme.http.get(&acme.kb("documents")).await.status, 200);
}
