//! Credentials that reach one knowledge base reveal nothing about the others, with any request. Generated from the
//! API's own table of routes.

use api_thin::Route;
use jobs::clock::Clock as _;
use jobs::queue::Verdict;
use jobs::tenant::KbId;
use jobs::{DocumentId, JobId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stores::model::JobRecord;
use tests::api::{Api, ApiTenant, Claims, Reply, problem, send};

use super::every_route::{method, tenant_routes, with_body};

/// A tenant with the knowledge base `default`, and with `papers`, of which the credentials are to learn nothing.
struct Site {
    api: Api,
    acme: ApiTenant,
    /// Jobs of `papers`: one waits, one is a dead letter, one is in quarantine, one has ended.
    theirs: [String; 4],
    /// A job of `default` that waits.
    mine: String,
    keys: Vec<(&'static str, String)>,
}

const DOCUMENT: &str = "secret-plan.md";

async fn upload(tenant: &ApiTenant, kb: &str, name: &str) -> String {
    let body = json!({ "name": name, "text": "the secret plan" });
    let reply = tenant.post(&format!("/kbs/{kb}/documents/text"), &body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.text("/job_id")
}

async fn ended(site: &Api, tenant: &ApiTenant, (kb, name): (&str, &str), verdict: Verdict) -> String {
    let job = upload(tenant, kb, name).await;
    assert_eq!(site.work(tenant, |_| verdict.clone()).await, 1);
    job
}

impl Site {
    async fn open() -> Self {
        let api = Api::start().await;
        let acme = api.tenant("acme").await;
        acme.kb_make(&api, "papers").await;
        let dead = || Verdict::Discarded { code: "too_complex", reason: "split it".into() };
        let bad = || Verdict::Quarantined { code: "envelope_altered", reason: "forged".into() };
        let theirs = [
            ended(&api, &acme, ("papers", "dead.md"), dead()).await,
            ended(&api, &acme, ("papers", "bad.md"), bad()).await,
        ];
        ended(&api, &acme, ("default", "dead.md"), dead()).await;
        ended(&api, &acme, ("default", "bad.md"), bad()).await;
        let waiting = upload(&acme, "papers", DOCUMENT).await;
        let over = record(&api, "papers");
        acme.stores.catalog().history_insert(std::slice::from_ref(&over)).await.unwrap();
        let schedule = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
        let put = acme.request(Method::PUT, "/kbs/papers/schedules/nightly").json(&schedule);
        assert_eq!(send(put).await.status, 200);
        let mine = upload(&acme, "default", "mine.md").await;
        let key = async |body: Value| acme.post("/api-keys", &body).await.text("/api_key");
        let keys = vec![
            ("an ADMIN key", key(json!({ "name": "a", "role": "ADMIN", "kb_id": "default" })).await),
            (
                "a key that creates",
                key(json!({ "name": "c", "role": "EDITOR", "permissions": ["document:create"], "kb_id": "default" }))
                    .await,
            ),
            ("a token", {
                let one_kb = Claims { kb_id: Some("default".into()), ..Claims::of("acme", "ADMIN") };
                one_kb.token()
            }),
        ];
        let [dead, bad] = theirs;
        Self { theirs: [waiting, dead, bad, over.id.to_string()], api, acme, mine, keys }
    }

    /// The route's path with names that exist in `papers`, or with ids that exist nowhere.
    fn path(route: &Route, job: &str, kb: &str) -> String {
        let document = DocumentId::of_name(DOCUMENT);
        let path = route
            .path
            .replace("/tenants/{tenant}", "")
            .replace("{kb}", kb)
            .replace("{job}", job)
            .replace("{document}", document.as_str())
            .replace("{batch}", NO_BATCH)
            .replace("{schedule}", "nightly")
            .replace("{queue}", "documents")
            .replace("{identity}", "product:ann")
            .replace("{key}", "nowhere00000")
            .replace("{chunk}", "0")
            .replace("{name}", "Secret%20Plan");
        format!("/api/v1/tenants/acme{path}")
    }

    fn request(&self, route: &Route, path: &str, key: &str) -> RequestBuilder {
        with_body(route, self.api.request(method(route), path)).bearer_auth(key)
    }

    /// Everything about `papers` that a whole key sees.
    async fn papers(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        for path in
            ["/jobs?kb_id=papers", "/dead-letters?kb_id=papers", "/quarantine?kb_id=papers", "/kbs/papers"]
        {
            seen.push(self.acme.get(path).await.body());
        }
        seen
    }

    fn assert_silent(&self, reply: &Reply, what: &str) {
        let body = String::from_utf8_lossy(&reply.bytes);
        let document = DocumentId::of_name(DOCUMENT);
        let secrets = self.theirs.iter().map(String::as_str);
        for secret in secrets.chain(["papers", DOCUMENT, document.as_str()]) {
            assert!(!body.contains(secret), "{what} shows {secret}: {body}");
        }
    }
}

/// A batch that exists nowhere; `batches` has those of other knowledge bases.
const NO_BATCH: &str = "0190b5a8-7c00-7000-8000-000000000000";

fn record(api: &Api, kb: &str) -> JobRecord {
    let now = api.clock.now();
    JobRecord {
        parent: None,
        batch: None,
        trace_id: None,
        id: JobId::generate(now),
        kind: "document.ingest".into(),
        kb: Some(kb.parse().unwrap()),
        queue: "documents".into(),
        state: "completed".into(),
        attempts: 1,
        error: None,
        created_at: now,
        started_at: Some(now),
        finished_at: now,
    }
}

#[tokio::test]
async fn no_route_tells_credentials_of_one_knowledge_base_about_another() {
    let site = Site::open().await;
    let before = site.papers().await;
    for (credentials, key) in &site.keys {
        for route in tenant_routes() {
            let jobs: Vec<&str> = if route.path.contains("{job}") {
                site.theirs.iter().map(String::as_str).collect()
            } else {
                vec![""]
            };
            for (job, kb) in jobs.iter().flat_map(|job| [(job, "papers"), (job, "default")]) {
                if kb == "default" && route.method != "get" && route.path.contains("{kb}") {
                    continue; // their own to change
                }
                let path = Site::path(route, job, kb);
                let what = format!("{credentials}: {} {path}", route.method);
                let reply = send(site.request(route, &path, key)).await;
                site.assert_silent(&reply, &what);
                assert!(reply.status < 500, "{what}: {reply:?}");
                if (kb == "papers" && route.path.contains("{kb}")) || route.path.contains("{job}") {
                    assert!(matches!(reply.status, 403 | 404), "{what}: {reply:?}");
                }
            }
        }
        assert_eq!(site.papers().await, before, "{credentials} changed something");
    }
}

/// Not only the same answer: no answer says which of a tenant's ids there are.
#[tokio::test]
async fn another_knowledge_bases_job_is_like_one_that_does_not_exist() {
    let site = Site::open().await;
    let (_, key) = &site.keys[0];
    let nowhere = JobId::generate(site.api.clock.now()).to_string();
    for route in tenant_routes().filter(|route| route.path.contains("{job}")) {
        let unknown = send(site.request(route, &Site::path(route, &nowhere, "default"), key)).await;
        problem(&unknown, 404, "not_found");
        for job in &site.theirs {
            let reply = send(site.request(route, &Site::path(route, job, "default"), key)).await;
            assert_eq!(
                (reply.status, &reply.bytes),
                (404, &unknown.bytes),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn a_key_of_one_knowledge_base_sees_and_manages_its_own_jobs() {
    let site = Site::open().await;
    let (_, key) = &site.keys[0];
    let ask = async |method: Method, path: &str| {
        send(site.api.request(method, &format!("/api/v1/tenants/acme{path}")).bearer_auth(key)).await
    };
    let list = ask(Method::GET, "/jobs").await.body();
    assert_eq!((&list["jobs"][0]["id"], &list["jobs"][1]), (&json!(site.mine), &Value::Null), "{list}");
    assert_eq!(
        (&list["jobs"][0]["kb_id"], &list["totals"], &list["next"]),
        (&json!("default"), &json!(null), &json!(null))
    );
    let counts = json!({ "scheduled": 0, "available": 1, "active": 0, "retryable": 0, "parked": 0,
        "discarded": 1, "quarantined": 1 });
    assert_eq!(list["counts"], counts);
    assert_eq!(list["waiting_for_a_worker"], json!({ "document.ingest@1": 1 }));
    let view = ask(Method::GET, &format!("/jobs/{}", site.mine)).await;
    assert_eq!((view.status, view.text("/state").as_str()), (200, "available"));
    for path in ["/dead-letters", "/quarantine"] {
        let kept = ask(Method::GET, path).await.body();
        assert_eq!(kept["jobs"].as_array().unwrap().len(), 1, "{path}: {kept}");
    }
    let whole = site.acme.get("/jobs?kb_id=default").await.body();
    assert_eq!((&whole["jobs"], &whole["counts"]), (&list["jobs"], &list["counts"]));
    let over = record(&site.api, "default");
    site.acme.stores.catalog().history_insert(std::slice::from_ref(&over)).await.unwrap();
    assert_eq!(ask(Method::GET, &format!("/jobs/{}", over.id)).await.text("/state"), "completed");

    let dead = ask(Method::GET, "/dead-letters").await.text("/jobs/0/id");
    assert_eq!(ask(Method::GET, &format!("/dead-letters/{dead}")).await.text("/kb_id"), "default");
    assert_eq!(ask(Method::POST, &format!("/dead-letters/{dead}/retry")).await.status, 202);
    assert_eq!(ask(Method::DELETE, &format!("/jobs/{}", site.mine)).await.text("/outcome"), "cancelled");
    let gone = ask(Method::GET, &format!("/jobs/{}", site.mine)).await;
    assert_eq!((gone.status, gone.text("/state").as_str()), (200, "cancelled"), "its own, before it started");
    assert_eq!((gone.body()["attempt"].clone(), gone.body()["started_at"].clone()), (json!(0), Value::Null));
    assert_eq!(gone.text("/error/code"), "cancelled");
    assert_eq!(gone.bytes, site.acme.get(&format!("/jobs/{}", site.mine)).await.bytes);
    assert_eq!(ask(Method::DELETE, &format!("/jobs/{}", site.mine)).await.text("/outcome"), "ended");
    let purge = site.api.request(Method::POST, "/api/v1/tenants/acme/dead-letters/purge").bearer_auth(key);
    let purged = send(purge.json(&json!({ "states": ["quarantined"] }))).await;
    assert_eq!(purged.body(), json!({ "purged": 1 }));
    let cancel = site.api.request(Method::POST, "/api/v1/tenants/acme/jobs/cancel").bearer_auth(key);
    let cancelled = send(cancel.json(&json!({ "types": ["document.ingest"] }))).await;
    assert_eq!(cancelled.body()["cancelled"], 1, "the dead letter that was started again");
    let papers = site.acme.get("/jobs?kb_id=papers").await.body();
    assert_eq!(papers["counts"]["available"], 1, "{papers}");
}

/// A filter that names a knowledge base which the credentials do not reach is refused like one that names none.
#[tokio::test]
async fn a_filter_names_a_knowledge_base_that_the_caller_reaches() {
    let site = Site::open().await;
    let (_, key) = &site.keys[0];
    let base = "/api/v1/tenants/acme";
    for path in ["/jobs", "/dead-letters", "/quarantine"] {
        let ask = async |kb: &str, key: &str| {
            send(site.api.request(Method::GET, &format!("{base}{path}?kb_id={kb}")).bearer_auth(key)).await
        };
        let (theirs, nowhere) = (ask("papers", key).await, ask("nowhere", key).await);
        problem(&theirs, 400, "invalid_query");
        assert_eq!(theirs.bytes, nowhere.bytes);
        assert_eq!(ask("papers", &site.acme.key).await.status, 200);
        problem(&ask("nowhere", &site.acme.key).await, 400, "invalid_query");
    }
    for path in ["/jobs/cancel", "/dead-letters/retry", "/dead-letters/purge"] {
        let request = site.api.request(Method::POST, &format!("{base}{path}")).bearer_auth(key);
        let reply = send(request.json(&json!({ "kb_id": "papers" }))).await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.text("/field"), "kb_id");
    }
    let cancelled = site.acme.post("/jobs/cancel", &json!({ "kb_id": "papers" })).await;
    assert_eq!(cancelled.body()["cancelled"], 1);
    let left = site.acme.get(&format!("/jobs/{}", site.mine)).await;
    assert_eq!(left.text("/state"), "available");
}

/// The cursor of a page cannot be read by the client, nor used by another tenant.
#[tokio::test]
async fn where_a_page_ends_is_sealed() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let kb: KbId = "papers".parse().unwrap();
    acme.kb_make(&api, kb.as_str()).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(upload(&acme, "papers", &format!("{number}.md")).await);
    }
    let page = acme.get("/jobs?type=document.ingest&limit=2").await.body();
    let next = page["next"].as_str().unwrap();
    assert!(!ids.iter().any(|id| next.contains(id)));
    assert_eq!(acme.get(&format!("/jobs?limit=2&after={next}")).await.status, 200);
    problem(&twin.get(&format!("/jobs?limit=2&after={next}")).await, 400, "invalid_query");
    let changed: String = next.chars().rev().collect();
    problem(&acme.get(&format!("/jobs?limit=2&after={changed}")).await, 400, "invalid_query");
}
