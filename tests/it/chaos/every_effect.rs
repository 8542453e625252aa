//! `kill -9` between every two effects of every handler.
//!
//! For each type the calls of a store that one job makes are learnt from a worker that is left alone. Then, for each
//! of them, a worker is killed before it, each with another job, and once more between the last call and the queue.
//! Workers that are left alone finish, and what is stored then is what is stored of a tenant none of whose workers
//! died.

use std::collections::BTreeSet;

use jobs::DocumentId;
use reqwest::Method;
use serde_json::json;
use tests::bed::{Snapshot, TestTenant, send};
use tests::receiver::Receiver;
use tests::texts;
use tests::wait::wait_for;

use super::crash_points::Fate;
use super::site::{QUEUE, Site, all_processed, job_of, statuses, upload};

/// Calls that change nothing: a death before one of them is the same as before the next call.
const READS: [&str; 10] = [
    "catalog.kb",
    "catalog.document",
    "catalog.documents",
    "catalog.tenant",
    "catalog.rag_settings",
    "blobs.original",
    "blobs.originals",
    "documents.extractions",
    "documents.staged_chunks",
    "index.chunks",
];

/// The operations before which a worker is to die: each is a moment after the one before it took effect.
fn points(calls: &[String]) -> BTreeSet<&str> {
    calls.iter().map(String::as_str).filter(|call| !READS.contains(call)).collect()
}

/// Kills a worker at each point of a type, each with another job. Each has been met: a worker that does not meet its
/// own fails the test.
async fn kill_at_each(site: &Site, kind: &str, calls: &[String]) {
    let points = points(calls);
    assert!(points.contains(QUEUE), "{kind}: {points:?}");
    for operation in &points {
        site.doomed(kind, operation, Fate::Killed).await;
    }
    eprintln!("| `{kind}` | {} | {} |", points.len(), Vec::from_iter(points).join(", "));
}

/// Goal: a document is read, extracted and built once, whatever its workers die of.
/// Method: as above, type after type; a twin whose workers are left alone tells what has to come out.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_document_on_its_way_into_the_graph() {
    let (site, acme, twin) = with_tenants().await;
    let names = |count: usize| (0..count).map(|number| format!("{number}.md"));
    let text = texts::short("Bluebird");
    let mut count = 1;
    upload(&acme, names(1), &text).await;
    for kind in ["document.ingest", "entities.extract", "graph.build"] {
        let calls = site.calls_of(kind).await;
        if kind == "document.ingest" {
            // As many as any of the types makes calls, and some more.
            count = 16;
            upload(&acme, names(count).skip(1), &text).await;
        }
        kill_at_each(&site, kind, &calls).await;
        let (_, process) = site.worker(&[kind]).await;
        site.until_none_waits(&acme, kind).await;
        process.stop().await;
    }
    all_processed(&acme, count).await;
    let (_, process) = site.worker(&[]).await;
    upload(&twin, names(count), &text).await;
    all_processed(&twin, count).await;
    site.assert_all_is_well(&[&acme, &twin]).await;
    process.stop().await;
    assert_eq!(
        Snapshot::of(site.bed.stores(), &acme.id).await,
        Snapshot::of(site.bed.stores(), &twin.id).await
    );
}

/// Kills workers at each point of a type, of which `make` makes jobs, and lets a worker that is left alone finish.
/// Returns how many jobs were made.
async fn survived(site: &Site, tenant: &TestTenant, kind: &str, make: impl AsyncFn(usize)) -> usize {
    make(0).await;
    let calls = site.calls_of(kind).await;
    let count = points(&calls).len();
    for number in 1..=count {
        make(number).await;
    }
    kill_at_each(site, kind, &calls).await;
    let (_, process) = site.worker(&[]).await;
    site.until_none_waits(tenant, kind).await;
    site.assert_all_is_well(&[tenant]).await;
    process.stop().await;
    count + 1
}

/// A site with two tenants that could be mistaken for each other.
async fn with_tenants() -> (Site, TestTenant, TestTenant) {
    let site = Site::open().await;
    let (_, helper) = site.worker(&["tenant.provision"]).await;
    let (acme, twin) = site.bed.look_alikes().await;
    helper.stop().await;
    (site, acme, twin)
}

/// Puts documents into a tenant's graph.
async fn filled(site: &Site, tenant: &TestTenant, count: usize) {
    upload(tenant, (0..count).map(name), &texts::short("Bluebird")).await;
    let (_, process) = site.worker(&[]).await;
    all_processed(tenant, count).await;
    process.stop().await;
}

fn name(number: usize) -> String {
    format!("{number}.md")
}

/// More documents than a deletion has calls.
const MANY: usize = 40;

/// Goal: what is deleted is gone from every store, and what is not is whole.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_deletion() {
    let (site, acme, twin) = with_tenants().await;
    filled(&site, &acme, MANY).await;
    filled(&site, &twin, MANY).await;
    let deleted = survived(&site, &acme, "document.delete", async |number| {
        let path = acme.kb(&format!("documents/{}", DocumentId::of_name(&name(number))));
        job_of(&acme, Method::DELETE, &path, None).await;
    })
    .await;
    let (_, process) = site.worker(&[]).await;
    for number in 0..deleted {
        assert_eq!(acme.document(&name(number)).await.status, 404);
        let path = twin.kb(&format!("documents/{}", DocumentId::of_name(&name(number))));
        job_of(&twin, Method::DELETE, &path, None).await;
    }
    all_processed(&twin, MANY - deleted).await;
    site.assert_all_is_well(&[&twin]).await;
    process.stop().await;
    assert_eq!(
        Snapshot::of(site.bed.stores(), &acme.id).await,
        Snapshot::of(site.bed.stores(), &twin.id).await
    );
}

/// The same for a list of documents.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_deletion_of_many() {
    let (site, acme, twin) = with_tenants().await;
    filled(&site, &acme, MANY).await;
    let deleted = survived(&site, &acme, "documents.delete", async |number| {
        let body = json!({ "ids": [DocumentId::of_name(&name(number))] });
        job_of(&acme, Method::POST, &acme.kb("documents/delete"), Some(body)).await;
    })
    .await;
    all_processed(&acme, MANY - deleted).await;
    assert_eq!(statuses(&twin).await.len(), 0);
}

/// Makes a knowledge base with a document in it. Its id has to be one of the tenant's.
async fn kb_with_document(site: &Site, tenant: &TestTenant, kb: &str) {
    let path = format!("/api/v1/tenants/{}/kbs", tenant.id);
    let made = tenant.http.post(&path, &json!({ "kb_id": kb, "name": kb })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let document = json!({ "name": "heron.md", "text": texts::short("Bluebird") });
    let uploaded = tenant.http.post(&format!("{path}/{kb}/documents/text"), &document).await;
    assert_eq!(uploaded.status, 202, "{uploaded:?}");
    let (_, process) = site.worker(&["document.ingest", "entities.extract", "graph.build"]).await;
    wait_for("the document to be processed", async || {
        let shown = tenant.http.get(&format!("{path}/{kb}/documents")).await;
        if shown.body["documents"][0]["status"] == "processed" { Ok(()) } else { Err(shown) }
    })
    .await;
    process.stop().await;
}

/// Goal: a knowledge base is read again, or gone, and its neighbours stay as they are.
#[tokio::test(flavor = "multi_thread")]
async fn of_work_on_a_knowledge_base() {
    let (site, acme, _) = with_tenants().await;
    filled(&site, &acme, 3).await;
    let before = Snapshot::of(site.bed.stores(), &acme.id).await;
    let kbs = |rest: &str| format!("/api/v1/tenants/{}/kbs/{rest}", acme.id);
    let read_again = survived(&site, &acme, "kb.reindex", async |number| {
        kb_with_document(&site, &acme, &format!("kb-{number}")).await;
        job_of(&acme, Method::POST, &kbs(&format!("kb-{number}/reindex")), None).await;
    })
    .await;
    let deleted = survived(&site, &acme, "kb.delete", async |number| {
        if number >= read_again {
            kb_with_document(&site, &acme, &format!("kb-{number}")).await;
        }
        let shown = acme.http.get(&kbs(&format!("kb-{number}/documents"))).await;
        assert_eq!(shown.body["documents"][0]["status"], "processed", "{shown:?}");
        job_of(&acme, Method::DELETE, &kbs(&format!("kb-{number}")), None).await;
    })
    .await;
    for number in 0..deleted {
        assert_eq!(acme.http.get(&kbs(&format!("kb-{number}"))).await.status, 404);
    }
    assert_eq!(Snapshot::of(site.bed.stores(), &acme.id).await, before);
}

/// Goal: a tenant is there and works, or is gone, and the others stay as they are.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_life_of_a_tenant() {
    let (site, acme, _) = with_tenants().await;
    filled(&site, &acme, 1).await;
    let before = Snapshot::of(site.bed.stores(), &acme.id).await;
    let (operator, id) = (site.bed.operator(), |number: usize| format!("{}-t{number}", acme.id));
    let path = |number: usize| format!("/api/v1/tenants/{}", id(number));
    let made = survived(&site, &acme, "tenant.provision", async |number| {
        let body = json!({ "id": id(number), "name": "Acme" });
        let answer = operator.post("/api/v1/tenants", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    })
    .await;
    let (_, process) = site.worker(&["tenant.provision"]).await;
    for number in 0..made {
        wait_for("the tenant to be active", async || {
            let shown = operator.get(&path(number)).await;
            if shown.body["status"] == "active" { Ok(()) } else { Err(shown) }
        })
        .await;
    }
    process.stop().await;
    let closed = survived(&site, &acme, "tenant.deprovision", async |number| {
        if number >= made {
            let (_, process) = site.worker(&["tenant.provision"]).await;
            site.bed.provision(&id(number)).await;
            process.stop().await;
        }
        let answer = send(operator.request(Method::DELETE, &path(number))).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    })
    .await;
    let (_, process) = site.worker(&[]).await;
    for number in 0..closed {
        wait_for("the tenant to be gone", async || {
            let shown = operator.get(&path(number)).await;
            if shown.status == 404 { Ok(()) } else { Err(shown) }
        })
        .await;
    }
    process.stop().await;
    assert_eq!(Snapshot::of(site.bed.stores(), &acme.id).await, before);
}

/// Goal: each event reaches its receiver, at least once, and the endpoint knows.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_delivery() {
    let (site, acme, _) = with_tenants().await;
    let receiver = Receiver::start().await;
    let (webhook, _) = acme.webhook(&receiver.url, &["document.processed"]).await;
    let kinds = ["document.ingest", "entities.extract", "graph.build"];
    let told = survived(&site, &acme, "webhook.deliver", async |number| {
        upload(&acme, [name(number)], &texts::short("Bluebird")).await;
        let (_, process) = site.worker(&kinds).await;
        wait_for("the document to be processed", async || {
            let shown = acme.document(&name(number)).await;
            if shown.body["status"] == "processed" { Ok(()) } else { Err(shown) }
        })
        .await;
        process.stop().await;
    })
    .await;
    let (_, process) = site.worker(&[]).await;
    let deliveries = wait_for("every event to be delivered", async || {
        let deliveries = acme.deliveries(&webhook).await;
        let is_done = deliveries.len() == told && deliveries.iter().all(|one| one["state"] == "delivered");
        if is_done { Ok(deliveries) } else { Err(deliveries) }
    })
    .await;
    process.stop().await;
    let received: BTreeSet<_> =
        receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    let expected: BTreeSet<_> =
        deliveries.iter().map(|one| one["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(received, expected);
}
