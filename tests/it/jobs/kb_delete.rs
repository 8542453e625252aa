use jobs::DocumentId;
use jobs::clock::{Clock as _, SystemClock};
use jobs::tenant::{KbId, TenantContext};
use jobs::types::{DeleteKb, IngestDocument};
use reqwest::Method;
use serde_json::json;
use stores::model::{GraphCounts, Kb};
use tests::bed::{Answer, Bed, Http, Snapshot, TestTenant, send, servers};
use tests::texts;
use tests::wait::wait_for;

async fn delete(tenant: &TestTenant) -> Answer {
    send(tenant.http.request(Method::DELETE, &format!("/api/v1/tenants/{}/kbs/default", tenant.id))).await
}

async fn kb(bed: &Bed, tenant: &TestTenant) -> Kb {
    let stores = bed.stores().scoped(&TenantContext::for_tests(&tenant.id));
    stores.catalog().kb(&KbId::first()).await.unwrap().unwrap()
}

/// The row is deleted last, so nothing may be left when it is gone.
async fn assert_nothing_left(bed: &Bed, tenant: &TestTenant, kb: &Kb, names: &[&str]) {
    let stores = bed.stores().scoped(&TenantContext::for_tests(&tenant.id));
    assert_eq!(stores.lifecycle().kb_closed(&kb.id).await.unwrap(), None);
    assert_eq!(stores.catalog().kb(&kb.id).await.unwrap(), None);
    assert_eq!(stores.catalog().usage(SystemClock.now()).await.unwrap().documents, 0);
    assert_eq!(stores.index().counts(kb).await.unwrap(), GraphCounts::default());
    for name in names {
        let id = DocumentId::of_name(name);
        assert_eq!(stores.documents().parsed(&kb.id, &id).await.unwrap(), None);
        assert_eq!(stores.documents().extractions(&kb.id, &id, 1, 0..1_000).await.unwrap(), []);
        assert_eq!(stores.blobs().originals(&kb.id, &id).await.unwrap(), []);
    }
}

/// Closed at once, emptied soon, and then its id is free: a knowledge base created under it has nothing of the old
/// one.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    for name in ["heron.md", "kestrel.md"] {
        acme.ingest(name, &texts::long(name)).await;
    }
    let before = kb(&bed, &acme).await;
    let answer = delete(&acme).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    for path in [acme.kb("documents"), acme.kb("graph"), acme.kb("schedules")] {
        assert_eq!(acme.http.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(acme.upload("late.md", "text").await.status, 404);
    bed.run_until_empty(&acme).await;
    assert_nothing_left(&bed, &acme, &before, &["heron.md", "kestrel.md", "late.md"]).await;

    let kbs = format!("/api/v1/tenants/{}/kbs", acme.id);
    let made = acme.http.post(&kbs, &json!({ "kb_id": "default", "name": "Again" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    acme.ingest("heron.md", &texts::long("Nightjar")).await;
    other.ingest("heron.md", &texts::long("Nightjar")).await;
    let (again, fresh) =
        (Snapshot::of(bed.stores(), &acme.id).await, Snapshot::of(bed.stores(), &other.id).await);
    assert_eq!(again, fresh);
}

/// Not even in the answer that is stored under an `Idempotency-Key`, which stays the same after the deletion.
#[tokio::test]
async fn its_name_is_in_no_part_of_a_file_and_no_stored_answer() {
    let embedded = Bed::embedded().await;
    for bed in [&embedded, servers().await] {
        let (acme, _) = bed.look_alikes().await;
        let path = format!("/api/v1/tenants/{}/kbs", acme.id);
        let wanted = json!({ "kb_id": "papers", "name": "Larkspur papers" });
        let create = || {
            let request = acme.http.request(Method::POST, &path).header("idempotency-key", "papers");
            send(request.json(&wanted))
        };
        let first = create().await;
        assert_eq!((first.status, &first.body["name"]), (201, &json!("Larkspur papers")), "{first:?}");
        let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
        let stored = stores.catalog().replay("papers").await.unwrap().unwrap();
        assert!(!stored.body.to_string().contains("Larkspur"), "{stored:?}");

        let deleted = send(acme.http.request(Method::DELETE, &format!("{path}/papers"))).await;
        assert_eq!(deleted.status, 202, "{deleted:?}");
        bed.run_until_empty(&acme).await;
        bed.word_is_gone("Larkspur").await;
        let again = create().await;
        assert_eq!((again.status, again.body), (201, first.body));
        assert_eq!(acme.http.get(&format!("{path}/papers")).await.status, 404, "it was not made again");
    }
}

/// A job that is delivered once more finds nothing to do, also when there is a new one of that id.
#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let unasked = bed.push(&acme, &DeleteKb::default()).await;
    assert_eq!(bed.ended(&acme, unasked).await["state"], "completed");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before, "nobody closed it");
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let before = kb(&bed, &acme).await;
    assert_eq!(delete(&acme).await.status, 202);
    bed.run_until_empty(&acme).await;
    let again = bed.push(&acme, &DeleteKb::default()).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_nothing_left(&bed, &acme, &before, &[]).await;
    assert_eq!(delete(&acme).await.status, 404);
}

/// A key limited to the knowledge base may delete it, and does not reach a later one with the same id.
#[tokio::test]
async fn its_own_key_ends_with_it() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let before = kb(&bed, &acme).await;
    let keys = format!("/api/v1/tenants/{}/api-keys", acme.id);
    let wanted = json!({ "name": "own", "role": "ADMIN", "kb_id": "default" });
    let made = acme.http.post(&keys, &wanted).await;
    let own = Http::new(&bed.url(), made.body["api_key"].as_str().unwrap());
    assert_eq!(own.get(&acme.kb("documents")).await.status, 200);
    let path = format!("/api/v1/tenants/{}/kbs/default", acme.id);
    assert_eq!(send(own.request(Method::DELETE, &path)).await.status, 202);
    bed.run_until_empty(&acme).await;
    assert_nothing_left(&bed, &acme, &before, &[]).await;

    let kbs = format!("/api/v1/tenants/{}/kbs", acme.id);
    assert_eq!(acme.http.post(&kbs, &json!({ "kb_id": "default", "name": "Again" })).await.status, 201);
    assert_eq!(own.get(&acme.kb("documents")).await.status, 401);
    assert_eq!(acme.http.get(&acme.kb("documents")).await.status, 200);
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    assert_eq!(delete(&acme).await.status, 202);
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
    assert_eq!(other.document("heron.md").await.status, 200);
}

/// Its queued jobs are dropped, and none is quarantined.
#[tokio::test]
async fn jobs_of_a_deleted_knowledge_base_are_dropped() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let before = kb(&bed, &acme).await;
    for name in ["one.md", "two.md", "three.md"] {
        assert_eq!(acme.upload(name, &texts::long(name)).await.status, 202);
    }
    assert_eq!(delete(&acme).await.status, 202);
    bed.run_until_empty(&acme).await;
    let late = IngestDocument { document_id: DocumentId::of_name("one.md"), revision: 1 };
    let late = bed.push(&acme, &late).await;
    let id = acme.id.parse().unwrap();
    wait_for("the late job to be dropped", async || {
        let status = bed.queue().lookup(&id, late).await.map_err(|error| error.to_string())?;
        let dropped = status.as_ref().is_none_or(|status| status.state.as_str() == "cancelled");
        if dropped { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let stats = bed.queue().stats(&id).await.unwrap();
    assert_eq!((stats.open(), stats.quarantined, stats.discarded), (0, 0, 0), "{stats:?}");
    assert_nothing_left(&bed, &acme, &before, &["one.md", "two.md", "three.md"]).await;
}
