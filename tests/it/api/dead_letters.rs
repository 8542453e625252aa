use jobs::DocumentId;
use jobs::queue::Verdict;
use redis::AsyncCommands as _;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tests::api::{Api, ApiTenant, Written, problem, send};

/// An upload whose job ends with `verdict`.
async fn ended(api: &Api, tenant: &ApiTenant, name: &str, verdict: Verdict) -> String {
    let job = tenant.upload_text(name, "text").await.text("/job_id");
    assert_eq!(api.work(tenant, |_| verdict.clone()).await, 1);
    job
}

fn discarded(code: &'static str) -> Verdict {
    Verdict::Discarded { code, reason: "split it".into() }
}

#[tokio::test]
async fn a_dead_letter_is_listed_shown_and_started_again() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let job = ended(&api, &acme, "a.md", discarded("too_complex")).await;
    ended(&api, &twin, "a.md", discarded("too_complex")).await;
    let before = Written::of(&api, &twin).await;
    let list = acme.get("/dead-letters").await.body();
    assert_eq!(list["jobs"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!((&list["jobs"][0]["id"], &list["jobs"][0]["type"]), (&json!(job), &json!("document.ingest")));
    assert_eq!(list["jobs"][0]["error"], json!({ "code": "too_complex", "detail": "split it" }));
    assert_eq!(acme.get("/quarantine").await.body()["jobs"], json!([]));

    let shown = acme.get(&format!("/dead-letters/{job}")).await;
    let body = shown.body();
    assert_eq!((&body["state"], &body["kb_id"]), (&json!("discarded"), &json!("default")));
    assert_eq!(body["job"]["args"][0]["document_id"], DocumentId::of_name("a.md").as_str());
    assert!(!String::from_utf8(shown.bytes).unwrap().contains("stamp"));
    problem(&twin.get(&format!("/dead-letters/{job}")).await, 404, "not_found");

    assert_eq!(acme.get(&format!("/jobs/{job}")).await.body()["redriven"], json!(null));
    let retried = send(acme.request(Method::POST, &format!("/dead-letters/{job}/retry"))).await;
    assert_eq!((retried.status, retried.text("/job_id")), (202, job.clone()));
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.text("/state"), "available");
    let redriven = acme.get(&format!("/jobs/{job}")).await.body()["redriven"].clone();
    assert_eq!(
        (&redriven["times"], &redriven["last_at"]),
        (&json!(1), &json!(Api::start_time())),
        "{redriven}"
    );
    assert!(redriven["last_by"].as_str().is_some_and(|by| by.starts_with("api_key:")), "{redriven}");
    let again = send(acme.request(Method::POST, &format!("/dead-letters/{job}/retry"))).await;
    problem(&again, 404, "not_found");
    assert_eq!(api.work(&acme, |_| discarded("too_complex")).await, 1);
    assert_eq!(send(acme.request(Method::POST, &format!("/dead-letters/{job}/retry"))).await.status, 202);
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.body()["redriven"]["times"], 2);
    assert_eq!(Written::of(&api, &twin).await, before);
}

#[tokio::test]
async fn many_are_started_or_thrown_away_by_reason() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for (name, code) in [("a.md", "one"), ("b.md", "two"), ("c.md", "two")] {
        ended(&api, &acme, name, discarded(code)).await;
    }
    let forged = Verdict::Quarantined { code: "stamp_bad_signature", reason: "forged".into() };
    let quarantined = ended(&api, &acme, "d.md", forged).await;
    let reply = acme.post("/dead-letters/retry", &json!({ "reason_code": "two" })).await;
    assert_eq!((reply.status, reply.body()), (202, json!({ "started": 2, "unique_key_taken": 0 })));
    assert_eq!(acme.get("/dead-letters").await.body()["jobs"].as_array().unwrap().len(), 1);
    let quarantine = acme.get("/quarantine").await.body();
    assert_eq!(quarantine["jobs"][0]["id"], json!(quarantined), "nobody asked for those: {quarantine}");

    let both = json!({ "states": ["discarded", "quarantined"] });
    problem(&acme.post("/dead-letters/purge", &both).await, 400, "invalid_field");
    problem(&acme.post("/dead-letters/purge", &json!({ "states": ["active"] })).await, 400, "invalid_field");
    let purged = acme.post("/dead-letters/purge", &json!({ "states": ["quarantined"] })).await;
    assert_eq!(purged.body(), json!({ "purged": 1 }));
    assert_eq!(acme.get("/quarantine").await.body()["jobs"], json!([]));
    let left = acme.get("/dead-letters").await.text("/jobs/0/id");
    let gone = send(acme.request(Method::DELETE, &format!("/dead-letters/{left}"))).await;
    assert_eq!(gone.status, 204);
    let gone = send(acme.request(Method::DELETE, &format!("/dead-letters/{left}"))).await;
    problem(&gone, 404, "not_found");
}

/// A person with access to Redis has replaced one of our jobs by another tenant's.
#[tokio::test]
async fn a_foreign_envelope_in_quarantine_shows_its_reason_and_nothing_else() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let place = acme.upload_text("mine.md", "text").await.text("/job_id");
    let theirs = twin.upload_text("secret-plan.md", "text").await.text("/job_id");
    let url = api.queue.config().url.expose_secret().to_owned();
    let key = format!("{}:{{q.0}}:e", api.queue.config().prefix);
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let own: String = redis.hget(&key, &place).await.unwrap();
    let foreign: String = redis.hget(&key, &theirs).await.unwrap();
    let wire = |record: &str| record.splitn(4, '\n').last().unwrap().to_owned();
    let () = redis.hset(&key, &place, own.replace(&wire(&own), &wire(&foreign))).await.unwrap();
    let verdict = Verdict::Quarantined { code: "foreign_queue", reason: "it was moved".into() };
    assert_eq!(api.work(&acme, |_| verdict.clone()).await, 1);
    let list = acme.get("/quarantine").await;
    let row = &list.body()["jobs"][0];
    assert_eq!((&row["id"], &row["error"]["code"]), (&json!(place), &json!("foreign_queue")));
    let document = DocumentId::of_name("secret-plan.md");
    let paths = [format!("/dead-letters/{place}"), format!("/jobs/{place}"), "/jobs".to_owned()];
    let mut replies = vec![list];
    for path in &paths {
        replies.push(acme.get(path).await);
    }
    for reply in replies {
        let body = String::from_utf8(reply.bytes).unwrap();
        for secret in
            [theirs.as_str(), "acme-2", "secret-plan", document.as_str(), "document_id", "\"kb_id\":\""]
        {
            assert!(!body.contains(secret), "{secret}: {body}");
        }
    }
    assert_eq!(acme.get(&format!("/dead-letters/{place}")).await.body()["job"], json!(null));
    let purged = acme.post("/dead-letters/purge", &json!({ "states": ["quarantined"] })).await;
    assert_eq!(purged.body(), json!({ "purged": 1 }));
}

/// Its very id is the other tenant's then.
#[tokio::test]
async fn a_foreign_envelope_under_its_own_id_shows_not_even_that() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let place = acme.upload_text("mine.md", "text").await.text("/job_id");
    let theirs = twin.upload_text("secret-plan.md", "text").await.text("/job_id");
    let url = api.queue.config().url.expose_secret().to_owned();
    let of = |name: &str| format!("{}:{{q.0}}:{name}", api.queue.config().prefix);
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let record: String = redis.hget(of("e"), &theirs).await.unwrap();
    let () = redis.hset(of("e"), &theirs, record.replacen("\nacme-2\n", "\nacme\n", 1)).await.unwrap();
    let () = redis.zadd(of("t:acme:q"), &theirs, 1_800_000_000_000_i64).await.unwrap();
    let () = redis.hset(of("t:acme:z"), &theirs, "foreign_queue\nit was moved").await.unwrap();
    let list = acme.get("/quarantine").await;
    let row = &list.body()["jobs"][0];
    assert_eq!((&row["id"], &row["error"]["code"]), (&json!(null), &json!("foreign_queue")));
    assert!(!String::from_utf8(list.bytes).unwrap().contains(&theirs));
    let filter = json!({ "reason_code": "foreign_queue", "states": ["quarantined"] });
    assert_eq!(acme.post("/dead-letters/purge", &filter).await.body(), json!({ "purged": 1 }));
    assert_eq!(acme.get(&format!("/jobs/{place}")).await.text("/state"), "available");
}
