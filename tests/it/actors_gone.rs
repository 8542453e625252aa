//! Actors who lost their permission between enqueueing a job and its run.

use jobs::envelope::EnqueueOptions;
use jobs::tenant::{Actor, KbId, TenantContext, TenantStatus};
use jobs::types::ReindexKb;
use jobs::{DocumentId, JobId, JobKind};
use reqwest::Method;
use serde_json::{Value, json};
use stores::model::DocumentSelection;
use tests::bed::{Bed, Http, TestTenant, send};
use tests::holdings::Holdings;
use tests::texts;

use super::isolation::{Asker, Ids, flow, stamped, webhook_of};

/// Nothing of the tenant starts.
async fn paused(tenant: &TestTenant) {
    flow(tenant, "pause").await;
}

async fn resumed(tenant: &TestTenant) {
    flow(tenant, "resume").await;
}

async fn forbidden(bed: &Bed, tenant: &TestTenant, job: JobId, what: &str) {
    let ended = bed.ended(tenant, job).await;
    assert_eq!(ended["state"], "discarded", "{what}: {ended}");
    assert_eq!(ended["error"]["code"], "actor_forbidden", "{what}: {ended}");
}

async fn remove(tenant: &TestTenant, identity: &str) {
    let member = format!("/api/v1/tenants/{}/members/{identity}", tenant.id);
    assert_eq!(send(tenant.http.request(Method::DELETE, &member)).await.status, 204);
}

/// All but whether the tenant is paused, which the tests change themselves.
async fn stored(bed: &Bed, tenant: &TestTenant) -> String {
    let stored = Holdings::of(bed.stores(), bed.queue(), &tenant.id, &["heron.md"], bed.now()).await.stored;
    let (before, rest) = stored.split_once("flows: ").expect("the tenant's row comes first");
    let (_, after) = rest.split_once("created_at").expect("the row goes on");
    format!("{before}{after}")
}

/// The request with which a person enqueues a job of this type; none where only the operator does, or another job
/// enqueues it.
fn request(kind: JobKind, tenant: &TestTenant) -> Option<(Method, String, Value)> {
    let heron = format!("documents/{}", DocumentId::of_name("heron.md"));
    match kind {
        JobKind::IngestDocument => {
            let document = json!({ "name": "heron.md", "text": texts::short("Nightjar") });
            Some((Method::POST, tenant.kb("documents/text"), document))
        }
        JobKind::ReindexKb => Some((Method::POST, tenant.kb("reindex"), json!({}))),
        JobKind::DeleteDocument => Some((Method::DELETE, tenant.kb(&heron), Value::Null)),
        JobKind::DeleteDocuments => {
            let body = json!({ "ids": [DocumentId::of_name("heron.md")] });
            Some((Method::POST, tenant.kb("documents/delete"), body))
        }
        JobKind::DeleteKb => {
            Some((Method::DELETE, format!("/api/v1/tenants/{}/kbs/default", tenant.id), Value::Null))
        }
        JobKind::ExtractEntities
        | JobKind::BuildGraph
        | JobKind::ProvisionTenant
        | JobKind::DeprovisionTenant
        // Of the endpoint, and not of the person who made it.
        | JobKind::DeliverWebhook => None,
    }
}

/// Goal: a person's jobs do not run once they are not a member any more, whatever their type.
/// Method: enqueue with the token of a log-in while the queue is paused, remove the person, resume the queue. A
/// document that waited for its job is marked; nothing else changes.
#[tokio::test]
async fn nothing_happens_that_a_removed_person_asked_for() {
    let bed = Bed::embedded().await;
    for (number, kind) in JobKind::ALL.iter().enumerate() {
        let (acme, _) = bed.look_alikes().await;
        let Some((method, path, body)) = request(*kind, &acme) else { continue };
        acme.ingest("heron.md", &texts::short("Bluebird")).await;
        bed.admin(&acme, &format!("bob-{number}")).await;
        let ann = format!("ann-{number}");
        let token = bed.admin(&acme, &ann).await;
        paused(&acme).await;
        let asked = token.request(method, &path);
        let asked = send(if body.is_null() { asked } else { asked.json(&body) }).await;
        assert_eq!(asked.status, 202, "{kind}: {asked:?}");
        remove(&acme, &format!("local:{ann}")).await;
        let before = stored(&bed, &acme).await;
        resumed(&acme).await;
        let job = asked.body["job_id"].as_str().unwrap().parse().unwrap();
        forbidden(&bed, &acme, job, kind.as_str()).await;
        if *kind == JobKind::IngestDocument {
            let document = acme.settled("heron.md").await;
            assert_eq!(
                (&document["status"], &document["revision"]),
                (&json!("failed"), &json!(2)),
                "{document}"
            );
            assert_eq!(document["error"]["code"], "actor_forbidden", "whoever waits is told: {document}");
        } else {
            assert_eq!(stored(&bed, &acme).await, before, "{kind}");
        }
        assert_eq!(token.get(&acme.kb("documents")).await.status, 403, "nor may the token be used");
    }
}

/// The same for jobs that follow from others, as they lie on Redis.
#[tokio::test]
async fn nor_what_follows_from_it() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    bed.admin(&acme, "bob").await;
    bed.admin(&acme, "ann").await;
    remove(&acme, "local:ann").await;
    let before = stored(&bed, &acme).await;
    let (list, kb) = (JobId::generate(bed.now()), KbId::first());
    let catalog = bed.stores().scoped(&TenantContext::for_tests(&acme.id)).catalog();
    assert_eq!(catalog.deletion_list_put(&kb, list, &DocumentSelection::All, bed.now()).await.unwrap(), 1);
    let ids = Ids {
        kb,
        document: DocumentId::of_name("heron.md"),
        revision: 1,
        key: "intruder1".parse().unwrap(),
        list,
        webhook: webhook_of(&acme.id),
    };
    for kind in JobKind::ALL {
        // No actor's job ends a tenant that is in use.
        if kind.policy().runs_while == TenantStatus::Deprovisioning {
            continue;
        }
        let ann = Asker { actor: Actor::User("local:ann".parse().unwrap()), ..Asker::of(&acme.id) };
        let job = stamped(*kind, bed.stamper(), &ann, &ids, EnqueueOptions::default());
        bed.queue().push(std::slice::from_ref(&job)).await.unwrap();
        forbidden(&bed, &acme, job.id(), kind.as_str()).await;
    }
    assert_eq!(stored(&bed, &acme).await, before);
}

#[tokio::test]
async fn what_a_removed_member_queued_does_not_run() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    // Jobs that are pushed past the API are those of `product:test`.
    for tenant in [&acme, &twin] {
        let member = format!("/api/v1/tenants/{}/members/product:test", tenant.id);
        let put = bed.operator().request(Method::PUT, &member).json(&json!({ "role": "EDITOR" }));
        assert_eq!(send(put).await.status, 200);
    }
    paused(&acme).await;
    let queued = bed.push(&acme, &ReindexKb::default()).await;
    remove(&acme, "product:test").await;
    resumed(&acme).await;
    forbidden(&bed, &acme, queued, "kb.reindex").await;
    // The look-alike's member of the same name goes on.
    let theirs = bed.push(&twin, &ReindexKb::default()).await;
    assert_eq!(bed.ended(&twin, theirs).await["state"], "completed");
}

#[tokio::test]
async fn what_a_revoked_key_queued_does_not_run() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let keys = format!("/api/v1/tenants/{}/api-keys", acme.id);
    let made = acme.http.post(&keys, &json!({ "name": "importer", "kb_id": "default" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (key, id) = (made.body["api_key"].as_str().unwrap(), made.body["id"].as_str().unwrap());
    let importer = Http::new(&bed.url(), key);
    let first = importer.post(&acme.kb("reindex"), &json!({})).await;
    let first = first.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(bed.ended(&acme, first).await["state"], "completed", "the key may do it while it works");

    paused(&acme).await;
    let queued = importer.post(&acme.kb("reindex"), &json!({})).await;
    let queued = queued.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(send(acme.http.request(Method::DELETE, &format!("{keys}/{id}"))).await.status, 204);
    resumed(&acme).await;
    forbidden(&bed, &acme, queued, "kb.reindex").await;
}
