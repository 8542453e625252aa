//! A tenant with something to find, to change and to finish for every type of job.

use chrono::DateTime;
use jobs::envelope::EnqueueOptions;
use jobs::plan::Limits;
use jobs::tenant::{ApiKeyId, KbId, TenantContext};
use jobs::types::DeliverWebhook;
use jobs::webhook::EventType;
use jobs::{DocumentId, JobId};
use reqwest::Method;
use serde_json::json;
use stores::model::{DocumentSelection, NewWebhook, WebhookEdit};
use tests::bed::{Bed, TestTenant, send};
use tests::holdings::Holdings;
use tests::texts;
use tests::wait::wait_for;

use super::described::{Ids, webhook_of};

/// A document that was processed, and a document whose ingest waits.
const NAMES: [&str; 2] = ["heron.md", "pending.md"];
/// A knowledge base that only this tenant has, and one about to be deleted.
const KBS: [&str; 2] = ["secrets", "closing"];

/// Fills `tenant` and holds its jobs back, so that every later change is an intruder's.
pub(super) async fn lay(bed: &Bed, tenant: &TestTenant) {
    tenant.ingest(NAMES[0], &texts::long("Quietwater")).await;
    let catalog = bed.stores().scoped(&TenantContext::for_tests(&tenant.id)).catalog();
    let (kb, list) = (KbId::first(), list_of(&tenant.id));
    assert_eq!(catalog.deletion_list_put(&kb, list, &DocumentSelection::All, bed.now()).await.unwrap(), 1);
    for kb in KBS {
        let kbs = format!("/api/v1/tenants/{}/kbs", tenant.id);
        assert_eq!(tenant.http.post(&kbs, &json!({ "kb_id": kb, "name": kb })).await.status, 201);
        let documents = format!("{kbs}/{kb}/documents");
        let document = json!({ "name": NAMES[0], "text": texts::short("Quietwater") });
        assert_eq!(tenant.http.post(&format!("{documents}/text"), &document).await.status, 202);
        let document = format!("{documents}/{}", DocumentId::of_name(NAMES[0]));
        wait_for("the document to be processed", async || {
            let shown = tenant.http.get(&document).await;
            if shown.body["status"] == "processed" { Ok(()) } else { Err(shown) }
        })
        .await;
    }
    lay_webhook(bed, tenant).await;
    flow(tenant, "pause").await;
    assert_eq!(tenant.upload(NAMES[1], &texts::short("Quietwater")).await.status, 202);
    let closing = format!("/api/v1/tenants/{}/kbs/{}", tenant.id, KBS[1]);
    assert_eq!(send(tenant.http.request(Method::DELETE, &closing)).await.status, 202);
}

/// An endpoint with a test in its log. It is disabled, so that its own jobs do not wait for anything.
async fn lay_webhook(bed: &Bed, tenant: &TestTenant) {
    let context = TenantContext::for_tests(&tenant.id);
    let catalog = bed.stores().scoped(&context).catalog();
    let (id, event_id) = webhook_of(&tenant.id);
    let job = DeliverWebhook { webhook_id: id.clone(), event_id };
    let new = NewWebhook {
        id: id.clone(),
        url: "https://127.0.0.1/".into(),
        description: String::new(),
        events: vec![EventType::DocumentProcessed],
        sealed_secret: "sealed".into(),
        template: bed.stamper().stamp(&context, &job, EnqueueOptions::default()).unwrap(),
        created_by: "local:ann".into(),
    };
    catalog.webhook_insert(&new, &Limits::default(), bed.now()).await.unwrap();
    assert!(catalog.webhook_test(&id, bed.now()).await.unwrap().is_some());
    let off = WebhookEdit::Details { url: None, description: None, events: None, enabled: Some(false) };
    catalog.webhook_change(&id, &off, None, bed.now()).await.unwrap();
}

/// The list of a tenant's documents to delete: no job of the tenant's own works on it.
fn list_of(tenant: &str) -> JobId {
    JobId::derived(DateTime::UNIX_EPOCH, tenant)
}

pub(crate) async fn flow(tenant: &TestTenant, what: &str) {
    let path = format!("/api/v1/tenants/{}/jobs/{what}", tenant.id);
    assert_eq!(tenant.http.post(&path, &json!({})).await.status, 200);
}

/// The ids that `tenant` has, to be tried in another tenant: those of documents in a knowledge base that both
/// have, and those of knowledge bases that only `tenant` has.
pub(super) fn ids(tenant: &TestTenant) -> Vec<Ids> {
    let key: ApiKeyId = tenant.http.key().split('_').nth(2).expect("a key names its id").parse().unwrap();
    let of = |kb: &str, name: &str| Ids {
        kb: kb.parse().unwrap(),
        document: DocumentId::of_name(name),
        revision: 1,
        key: key.clone(),
        list: list_of(&tenant.id),
        webhook: webhook_of(&tenant.id),
    };
    let shared = NAMES.map(|name| of("default", name));
    shared.into_iter().chain(KBS.map(|kb| of(kb, NAMES[0]))).collect()
}

/// The same with everything that is `tenant`'s replaced by what exists nowhere.
pub(super) fn nowhere(ids: &Ids) -> Ids {
    let kb = if ids.kb.as_str() == "default" { ids.kb.clone() } else { "nowhere".parse().unwrap() };
    let document = DocumentId::of_name("nowhere.md");
    let (key, list) = ("nowhere00".parse().unwrap(), list_of("nowhere"));
    Ids { kb, document, revision: ids.revision, key, list, webhook: webhook_of("nowhere") }
}

pub(super) async fn holdings(bed: &Bed, tenant: &TestTenant) -> Holdings {
    Holdings::of(bed.stores(), bed.queue(), &tenant.id, &NAMES, bed.now()).await
}

/// Lets the tenant's own jobs go on: what the intruders were after was there, and ends as it should.
pub(super) async fn goes_on(bed: &Bed, tenant: &TestTenant) {
    flow(tenant, "resume").await;
    bed.run_until_empty(tenant).await;
    for name in NAMES {
        assert_eq!(tenant.settled(name).await["status"], "processed");
    }
    let kbs = tenant.http.get(&format!("/api/v1/tenants/{}/kbs", tenant.id)).await.body;
    let left: Vec<_> = kbs["kbs"].as_array().unwrap().iter().map(|kb| kb["id"].clone()).collect();
    assert_eq!(left, [json!("default"), json!(KBS[0])], "{kbs}");
}
