//! Webhooks whose targets hang, fail, redirect or move, in a whole system.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ingest::Egress;
use ingest::webhooks::{Lookup, Message, Patience};
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::EnqueueOptions;
use jobs::queue::{Kept, Redriven};
use jobs::tenant::TenantContext;
use jobs::types::DeliverWebhook;
use jobs::webhook::{EventId, EventType, TargetRules, WebhookId};
use reqwest::Method;
use serde_json::{Value, json};
use stores::model::{AuditFilter, DeliveryState, DisabledReason, NewWebhook};
use tests::bed::{Bed, TestTenant, send};
use tests::receiver::{Reaction, Received, Receiver};
use tests::texts;
use tests::wait::wait_for;
use worker::TestBench;

async fn post(tenant: &TestTenant, rest: &str) -> Value {
    let path = format!("/api/v1/tenants/{}/webhooks/{rest}", tenant.id);
    let answer = tenant.http.post(&path, &json!({})).await;
    assert!(answer.status < 300, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn a_target_that_fails_once_is_told_again_under_the_same_id() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    receiver.next([Reaction::Status(500)]);
    let (webhook, secret) = acme.webhook(&receiver.url, &["document.processed"]).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let waiting = acme.delivery(&webhook, |delivery| delivery["attempts"] == 1).await;
    assert_eq!((&waiting["state"], &waiting["last_status"]), (&json!("queued"), &json!(500)));
    assert_eq!(waiting["log"][0]["error_code"], "http_status");
    assert!(waiting["next_attempt_at"].is_string(), "{waiting}");
    let received = receiver.wait(2).await;
    assert!(received.iter().all(|request| request.is_signed_with(&secret)));
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    let shown = acme.delivery(&webhook, |delivery| delivery["state"] == "delivered").await;
    assert_eq!((&shown["attempts"], &shown["log"][1]["status"]), (&json!(2), &json!(204)));
    let path = format!("/api/v1/tenants/{}/webhooks/{webhook}", acme.id);
    assert_eq!(acme.http.get(&path).await.body["failing_since"], Value::Null);
}

/// Goal: nothing else is slower, and each attempt is on record.
/// Method: more hanging deliveries than a worker has slots, of a tenant that goes on to upload, beside another tenant.
#[tokio::test]
async fn a_target_that_hangs_keeps_nothing_else_waiting() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    let (hanging, works) = (Receiver::start().await, Receiver::start().await);
    hanging.always(Reaction::Hang);
    let (webhook, _) = acme.webhook(&hanging.url, &["document.processed"]).await;
    for _ in 0..20 {
        post(&acme, &format!("{webhook}/test")).await;
    }
    hanging.wait(4).await;
    wait_for("the worker to say which of its slots are busy", async || {
        let workers = bed.operator().get("/api/v1/workers").await.body;
        let slots = &workers["workers"][0]["slots"];
        let is_seen = slots["webhooks"]["in_flight"] == 4 && slots["jobs"]["in_flight"] == 0;
        if is_seen { Ok(()) } else { Err(workers) }
    })
    .await;
    let (theirs, _) = other.webhook(&works.url, &["document.processed"]).await;
    for tenant in [&acme, &other] {
        tenant.ingest("heron.md", &texts::short("Bluebird")).await;
    }
    other.delivery(&theirs, |delivery| delivery["state"] == "delivered").await;
    let untried = acme.deliveries(&webhook).await.into_iter().filter(|delivery| delivery["attempts"] == 0);
    assert!(untried.count() > 4, "nothing waited until the target had hung for each");

    let timed_out = wait_for("an attempt to end", async || {
        let deliveries = acme.deliveries(&webhook).await;
        let found = deliveries.iter().find(|delivery| delivery["last_error"] == "timeout").cloned();
        found.ok_or(deliveries)
    })
    .await;
    assert_eq!((&timed_out["state"], &timed_out["last_status"]), (&json!("queued"), &Value::Null));
    assert_eq!(acme.deliveries(&webhook).await.len(), 21, "what was not tried yet is on record too");
    assert_eq!(hanging.most_at_once(), 4, "of one tenant");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let (receiver, inner) = (Receiver::start().await, Receiver::start().await);
    receiver.next([Reaction::Redirect(inner.url.clone())]);
    let (webhook, _) = acme.webhook(&receiver.url, &["job.failed"]).await;
    post(&acme, &format!("{webhook}/test")).await;
    let shown = acme.delivery(&webhook, |delivery| delivery["attempts"] == 1).await;
    let first = &shown["log"][0];
    assert_eq!((&first["error_code"], &first["status"]), (&json!("redirect"), &json!(302)));
    acme.delivery(&webhook, |delivery| delivery["state"] == "delivered").await;
    assert_eq!((receiver.received().len(), inner.received().len()), (2, 0));
}

/// Gives a name one address the first time, and another one afterwards.
struct Rebinding {
    asked: AtomicUsize,
    then: IpAddr,
}

impl Lookup for Rebinding {
    fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let is_first = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        let address = if is_first { "127.0.0.1".parse().unwrap() } else { self.then };
        async move { Ok(vec![address]) }.boxed()
    }
}

fn message() -> Message {
    let now = SystemClock.now();
    Message::signed("evt_1", now, "{}".into(), &["whsec_AAAA".into()]).unwrap()
}

#[tokio::test]
async fn a_name_that_moves_to_a_private_address_is_not_followed() {
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit(':').next().unwrap().to_owned();
    for then in ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00:ec2::254", "64:ff9b::7f00:1"] {
        let lookup = Arc::new(Rebinding { asked: AtomicUsize::new(0), then: then.parse().unwrap() });
        let rules = TargetRules { loopback: true, ..TargetRules::default() };
        let egress = Egress::with(rules, lookup, Patience::default()).unwrap();
        let url = format!("http://hooks.localhost:{port}");
        assert_eq!(egress.send(&url, message()).await, Ok(204), "{then}");
        let refused = egress.send(&url, message()).await.unwrap_err();
        assert_eq!(refused.code, "address_refused", "{then}: {refused:?}");
    }
    assert_eq!(receiver.received().len(), 5);
}

/// With the usual rules nothing on this machine is reached, by whatever name.
#[tokio::test]
async fn this_machine_is_no_target() {
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit(':').next().unwrap().trim_end_matches("/hooks").to_owned();
    let rules = TargetRules { ports: vec![port.parse().unwrap()], loopback: false };
    let to = |address: &str| {
        let lookup = Arc::new(Rebinding { asked: AtomicUsize::new(1), then: address.parse().unwrap() });
        Egress::with(rules.clone(), lookup, Patience::default()).unwrap()
    };
    for (url, code) in [
        (format!("https://hooks.example.com:{port}/"), "address_refused"),
        (format!("https://127.0.0.1:{port}/"), "address_refused"),
        (format!("https://localhost:{port}/"), "address_refused"),
        (format!("https://[::1]:{port}/"), "address_refused"),
        (format!("http://hooks.example.com:{port}/"), "url_refused"),
    ] {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let refused = to(address).send(&url, message()).await.unwrap_err();
            assert_eq!(refused.code, code, "{url} {address}: {refused:?}");
        }
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_target_that_is_gone_is_told_nothing_more_and_that_is_on_record() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    receiver.always(Reaction::Status(410));
    let (webhook, _) = acme.webhook(&receiver.url, &["document.processed"]).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let shown = acme.delivery(&webhook, |delivery| delivery["state"] == "failed").await;
    assert_eq!((&shown["last_error"], &shown["last_status"]), (&json!("gone"), &json!(410)));
    let path = format!("/api/v1/tenants/{}/webhooks/{webhook}", acme.id);
    let hook = acme.http.get(&path).await.body;
    assert_eq!((&hook["enabled"], &hook["disabled_reason"]), (&json!(false), &json!("gone")));
    let audit = wait_for("the entry", async || {
        let log = acme.http.get(&format!("/api/v1/tenants/{}/audit?action=webhooks_disable", acme.id)).await;
        if log.body["entries"][0].is_null() { Err(log.body) } else { Ok(log.body) }
    })
    .await;
    assert_eq!(audit["entries"][0]["actor"], format!("webhook:{webhook}"));

    acme.ingest("kestrel.md", &texts::short("Nightjar")).await;
    assert_eq!(acme.deliveries(&webhook).await.len(), 1);
    let test = acme.http.post(&format!("{path}/test"), &json!({})).await;
    assert_eq!((test.status, &test.body["code"]), (409, &json!("webhook_disabled")));
    receiver.always(Reaction::Status(204));
    let enable = acme.http.request(Method::PATCH, &path).json(&json!({ "enabled": true }));
    assert_eq!(send(enable).await.body["enabled"], true);
    post(&acme, &format!("{webhook}/deliveries/{}/redeliver", shown["event_id"].as_str().unwrap())).await;
    acme.delivery(&webhook, |delivery| delivery["state"] == "delivered").await;
    let received = receiver.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
}

/// During a rotation a receiver may know either secret, and afterwards the new one alone.
#[tokio::test]
async fn a_rotated_secret_overlaps_with_the_one_before() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    let (webhook, old) = acme.webhook(&receiver.url, &["document.processed"]).await;
    let rotated = post(&acme, &format!("{webhook}/rotate")).await;
    let new = rotated["secret"].as_str().unwrap().to_owned();
    assert!(new != old && rotated["previous_until"].is_string(), "{rotated}");
    post(&acme, &format!("{webhook}/test")).await;
    let both = receiver.wait(1).await.remove(0);
    assert!(both.is_signed_with(&old) && both.is_signed_with(&new));
    assert_eq!(both.json()["type"], "webhook.test");
    assert_eq!(both.json()["data"], json!({ "tenant_id": acme.id, "webhook_id": webhook }));

    let path = format!("/api/v1/tenants/{}/webhooks/{webhook}/rotate", acme.id);
    let last =
        acme.http.post(&path, &json!({ "grace_s": 0 })).await.body["secret"].as_str().unwrap().to_owned();
    post(&acme, &format!("{webhook}/test")).await;
    let one = receiver.wait(2).await.remove(1);
    assert!(one.is_signed_with(&last) && !one.is_signed_with(&new) && !one.is_signed_with(&old));
}

#[tokio::test]
async fn jobs_that_end_are_told_of_but_not_the_deliveries_themselves() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    let asked = ["job.completed", "job.failed", "job.cancelled", "document.failed", "document.deleted"];
    let (webhook, _) = acme.webhook(&receiver.url, &asked).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let empty = acme.upload_file("empty.html", "text/html", b"<p></p>").await;
    assert_eq!(empty.status, 202, "{empty:?}");
    acme.settled("empty.html").await;
    let heron = acme.kb(&format!("documents/{}", jobs::DocumentId::of_name("heron.md")));
    assert_eq!(send(acme.http.request(Method::DELETE, &heron)).await.status, 202);
    let path = |rest: &str| format!("/api/v1/tenants/{}/{rest}", acme.id);
    acme.http.post(&path("queues/maintenance/pause"), &json!({})).await;
    let waits = acme.http.post(&acme.kb("reindex"), &json!({})).await;
    let waits = path(&format!("jobs/{}", waits.body["job_id"].as_str().unwrap()));
    assert_eq!(send(acme.http.request(Method::DELETE, &waits)).await.body["outcome"], "cancelled");
    let told = wait_for("everything to be told", async || {
        let told: Vec<_> = receiver.received().iter().map(Received::json).collect();
        let row = |body: &Value| (body["type"].clone(), body["data"]["job_type"].clone());
        let rows: Vec<_> = told.iter().map(row).collect();
        let all = [
            (json!("job.completed"), json!("document.ingest")),
            (json!("job.completed"), json!("entities.extract")),
            (json!("job.completed"), json!("graph.build")),
            (json!("job.failed"), json!("document.ingest")),
            (json!("document.failed"), Value::Null),
            (json!("job.completed"), json!("document.delete")),
            (json!("document.deleted"), Value::Null),
            (json!("job.cancelled"), json!("kb.reindex")),
        ];
        if all.iter().all(|expected| rows.contains(expected)) { Ok(told) } else { Err(rows) }
    })
    .await;
    bed.run_until_empty(&acme).await;
    assert_eq!(receiver.received().len(), told.len(), "each once");
    assert!(told.iter().all(|body| body["data"]["job_type"] != "webhook.deliver"), "{told:?}");
    let failed = told.iter().find(|body| body["type"] == "document.failed").unwrap();
    assert!(failed["data"]["error_code"].is_string(), "{failed}");
    assert_eq!(acme.deliveries(&webhook).await.len(), told.len());
}

/// A worker's jobs in memory, under a clock that can be moved by days, and a real receiver.
struct Days {
    bench: TestBench,
    tenant: TenantContext,
    receiver: Receiver,
    webhook: WebhookId,
}

impl Days {
    async fn start() -> Self {
        let bench = TestBench::start(|worker| {
            let worker = ingest::equip(worker, &ingest::ExtractionSettings::default()).unwrap();
            let rules = TargetRules { loopback: true, ..TargetRules::default() };
            worker.state(Egress::new(rules).unwrap())
        })
        .await;
        let (tenant, receiver) = (bench.tenant("acme").await, Receiver::start().await);
        let id = WebhookId::generate();
        let template =
            DeliverWebhook { webhook_id: id.clone(), event_id: EventId::generate(bench.clock().now()) };
        let template = bench.stamper().stamp(&tenant, &template, EnqueueOptions::default()).unwrap();
        let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
        let new = NewWebhook {
            url: receiver.url.clone(),
            description: String::new(),
            events: vec![EventType::JobFailed],
            sealed_secret: bench.stamper().seal(&tenant, &id.secret_purpose(), &secret),
            template,
            created_by: "local:ann".into(),
            id: id.clone(),
        };
        let catalog = bench.opened().stores.scoped(&tenant).catalog();
        let limits = jobs::plan::Limits::default();
        catalog.webhook_insert(&new, &limits, bench.clock().now()).await.unwrap();
        Self { bench, tenant, receiver, webhook: id }
    }

    fn catalog(&self) -> stores::Catalog {
        self.bench.opened().stores.scoped(&self.tenant).catalog()
    }

    /// An event, and a job that delivers it.
    async fn event(&self) -> EventId {
        let event =
            self.catalog().webhook_test(&self.webhook, self.bench.clock().now()).await.unwrap().unwrap();
        let job = DeliverWebhook { webhook_id: self.webhook.clone(), event_id: event.clone() };
        self.bench.enqueue(&self.tenant, &job).await;
        event
    }
}

/// Goal: a target that answers 500 for days is tried on the schedule of the specification, and nothing of it is lost
/// without a record.
#[tokio::test]
async fn a_target_that_fails_for_days_is_tried_on_schedule_and_then_given_up() {
    let days = Days::start().await;
    days.receiver.always(Reaction::Status(500));
    let event = days.event().await;
    let report = days.bench.run_to_the_end().await;
    assert_eq!((report.retried().len(), report.discarded()[0].1), (9, "webhook_failed"));
    let attempts = days.catalog().webhook_attempts(&days.webhook, &event).await.unwrap();
    let waits = attempts.windows(2).map(|pair| pair[1].at - pair[0].at);
    for (waited, planned) in waits.zip(DeliverWebhook::RETRIES) {
        let planned = TimeDelta::from_std(planned).unwrap();
        let longest = planned + (planned / 4).min(TimeDelta::minutes(5)) + TimeDelta::seconds(1);
        assert!((planned..=longest).contains(&waited), "{planned} {waited}");
    }
    assert_eq!((attempts.len(), days.receiver.received().len()), (10, 10));
    assert!(attempts.iter().all(|attempt| attempt.status == Some(500)));
    let delivery = days.catalog().webhook_delivery(&days.webhook, &event).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.next_at), (DeliveryState::Failed, None));

    // Its job is a dead letter, which can be started again.
    let dead = days.bench.queue().kept(days.tenant.tenant_id(), Kept::Discarded, 10);
    days.receiver.always(Reaction::Status(204));
    assert_eq!(days.bench.queue().redrive(days.tenant.tenant_id(), dead[0].id), Redriven::Started);
    days.bench.run_to_the_end().await;
    let delivery = days.catalog().webhook_delivery(&days.webhook, &event).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 11));
    let webhook = days.catalog().webhook(&days.webhook).await.unwrap().unwrap();
    assert_eq!((webhook.failing_since, webhook.disabled), (None, None));
}

#[tokio::test]
async fn a_target_that_fails_for_five_days_is_disabled_with_a_record() {
    let days = Days::start().await;
    days.receiver.always(Reaction::Status(500));
    days.event().await;
    days.bench.run_to_the_end().await;
    days.bench.advance(Duration::from_secs(2 * 86_400));
    let (event, pending) = (days.event().await, days.event().await);
    let report = days.bench.run_until_empty().await;
    assert_eq!(report.discarded()[0].1, "webhook_disabled");
    let webhook = days.catalog().webhook(&days.webhook).await.unwrap().unwrap();
    assert_eq!(webhook.disabled.unwrap().1, DisabledReason::Failing);
    for event in [&event, &pending] {
        let delivery = days.catalog().webhook_delivery(&days.webhook, event).await.unwrap().unwrap();
        assert_eq!(
            (delivery.state, delivery.last_error.unwrap().as_str()),
            (DeliveryState::Failed, "webhook_disabled")
        );
    }
    let filter = AuditFilter { action: Some("webhooks_disable".into()), ..AuditFilter::default() };
    let found = days.catalog().audit(&filter, None, 10).await.unwrap().items;
    assert_eq!((found.len(), found[0].entry.reason.as_deref()), (1, Some("failing")));
}
