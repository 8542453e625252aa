use jobs::DocumentId;
use jobs::types::DeliverWebhook;
use serde_json::json;
use tests::bed::{Bed, TestTenant, send, servers};
use tests::receiver::Receiver;
use tests::texts;

async fn delivered(tenant: &TestTenant, webhook: &str) -> serde_json::Value {
    tenant.delivery(webhook, |delivery| delivery["state"] == "delivered").await
}

/// A document ends, and its endpoint is told, signed so that the specification's own library verifies it.
async fn happy_path_on(bed: &Bed) {
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    let (webhook, secret) = acme.webhook(&receiver.url, &["document.processed", "document.failed"]).await;
    acme.ingest("Larkspur.md", &texts::short("Quietwater")).await;
    let received = receiver.wait(1).await.remove(0);
    assert!(received.is_signed_with(&secret), "{received:?}");
    assert!(!received.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(received.header("content-type"), "application/json");
    let shown = delivered(&acme, &webhook).await;
    assert_eq!(shown["event_id"], received.header("webhook-id"));
    let document = DocumentId::of_name("Larkspur.md");
    let body = received.json();
    assert_eq!((&body["type"], &body["timestamp"]), (&json!("document.processed"), &shown["occurred_at"]));
    let data = &body["data"];
    assert_eq!((&data["tenant_id"], &data["document_id"]), (&json!(acme.id), &json!(document)));
    assert_eq!(
        (&data["kb_id"], &data["status"], &data["revision"]),
        (&json!("default"), &json!("processed"), &json!(1))
    );
    let text = String::from_utf8(received.body.to_vec()).unwrap();
    assert!(!text.contains("Quietwater") && !text.contains("Larkspur"), "{text}");
    assert_eq!((&shown["attempts"], &shown["log"][0]["status"]), (&json!(1), &json!(204)));
    assert_eq!(shown["log"][0]["error_code"], json!(null));
}

#[tokio::test]
async fn happy_path() {
    happy_path_on(&Bed::embedded().await).await;
    happy_path_on(servers().await).await;
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    let (webhook, _) = acme.webhook(&receiver.url, &["document.processed"]).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let first = delivered(&acme, &webhook).await;
    let again = DeliverWebhook {
        webhook_id: webhook.parse().unwrap(),
        event_id: first["event_id"].as_str().unwrap().parse().unwrap(),
    };
    let job = bed.push(&acme, &again).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    assert_eq!((receiver.received().len(), delivered(&acme, &webhook).await), (1, first));
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    let (webhook, _) = acme.webhook(&receiver.url, &["document.processed"]).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let event = delivered(&acme, &webhook).await["event_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/tenants/{}/webhooks/{webhook}", acme.id);
    assert_eq!(send(acme.http.request(reqwest::Method::DELETE, &path)).await.status, 204);
    let late = DeliverWebhook { webhook_id: webhook.parse().unwrap(), event_id: event.parse().unwrap() };
    let job = bed.push(&acme, &late).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    assert_eq!(receiver.received().len(), 1);
}

/// Neither what happens in a tenant nor a job that names its endpoint tells the other tenant's anything.
#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    let (mine, theirs) = (Receiver::start().await, Receiver::start().await);
    let (webhook, secret) = acme.webhook(&mine.url, &["document.processed"]).await;
    let (others, others_secret) = other.webhook(&theirs.url, &["document.processed"]).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let event = delivered(&acme, &webhook).await["event_id"].as_str().unwrap().to_owned();
    assert_ne!(secret, others_secret);
    assert_eq!((theirs.received().len(), other.deliveries(&others).await.len()), (0, 0));

    let before = acme.deliveries(&webhook).await;
    let job = DeliverWebhook { webhook_id: webhook.parse().unwrap(), event_id: event.parse().unwrap() };
    let job = bed.push(&other, &job).await;
    assert_eq!(bed.ended(&other, job).await["state"], "completed");
    assert_eq!((mine.received().len(), theirs.received().len()), (1, 0));
    assert_eq!(acme.deliveries(&webhook).await, before);
}
