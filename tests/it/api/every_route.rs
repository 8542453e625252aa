//! Every route of the API's own table, asked for another tenant's things. A new route has to be described
//! here.

use api_thin::routes::{Access, Scope};
use api_thin::{ROUTES, Route};
use jobs::DocumentId;
use jobs::queue::Verdict;
use jobs::tenant::KbId;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use stores::model::{Chunk, ChunkFault, DocumentCounts, FailedChunk, Losses, Mention, MentionKind};
use stores::workers::{SlotsReport, WorkerReport};
use tests::api::{Api, ApiTenant, Reply, Written, problem, send};

use super::bodies::body;

/// What the other tenant has, so that there is something to find.
pub(super) struct Bait {
    job: String,
    dead: String,
    document: DocumentId,
    batch: String,
    key: String,
    member: String,
    invitation: String,
    webhook: String,
    event: String,
    worker: String,
}

impl Bait {
    /// Ids of the same kinds that exist nowhere.
    pub(super) fn elsewhere(&self) -> Self {
        // The same moment, other random digits.
        let nowhere = |known: &str| format!("{}000000000000", &known[..24]);
        Self {
            job: nowhere(&self.job),
            dead: nowhere(&self.dead),
            document: DocumentId::of_name("nowhere.md"),
            batch: nowhere(&self.batch),
            key: "nowhere00000".to_owned(),
            member: "product:nobody".to_owned(),
            invitation: nowhere(&self.invitation),
            webhook: "wh_000000000000000000000000".to_owned(),
            event: "evt_0190a1b2-c3d4-7000-8000-000000000000_1".to_owned(),
            worker: "nowhere".to_owned(),
        }
    }
}

pub(super) async fn bait(api: &Api, tenant: &ApiTenant) -> Bait {
    let dead = tenant.upload_text("dead.md", "text").await.text("/job_id");
    assert_eq!(api.work(tenant, |_| discarded()).await, 1);
    let reply = tenant.upload_text("secret.md", "the secret plan").await;
    assert_eq!(reply.status, 202, "{reply:?}");
    in_the_graph(tenant, "secret.md", &format!("the plan of {}", tenant.id)).await;
    let schedule = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    let put = tenant.request(Method::PUT, "/kbs/default/schedules/nightly").json(&schedule);
    assert_eq!(send(put).await.status, 200);
    tenant.member(api, "product:ann", "VIEWER").await;
    let invitation = tenant.post("/members", &json!({ "subject": "bob", "role": "VIEWER" })).await;
    assert_eq!(invitation.status, 201, "{invitation:?}");
    let new = json!({ "url": "https://hooks.example.com/", "events": ["document.processed"] });
    let webhook = tenant.post("/webhooks", &new).await.text("/id");
    let key = tenant.post("/api-keys", &json!({ "name": "bait" })).await.text("/id");
    Bait {
        job: reply.text("/job_id"),
        dead,
        document: DocumentId::of_name("secret.md"),
        batch: reply.text("/batch_id"),
        key,
        member: "product:ann".into(),
        invitation: invitation.text("/id"),
        event: theirs_event(tenant, &webhook).await,
        webhook,
        worker: worker(api, tenant).await,
    }
}

/// A worker that lives; workers are of no tenant.
async fn worker(api: &Api, tenant: &ApiTenant) -> String {
    let id = format!("worker-{}", tenant.id);
    let report = WorkerReport {
        host: None,
        pid: 7,
        version: "0.1.0".to_owned(),
        started_at: Api::start_time(),
        slots: [("jobs".to_owned(), SlotsReport { slots: 4, in_flight: 1 })].into(),
        is_fetching: true,
        obeys: 0,
    };
    api.workers().beat(&id, &report, None).await.unwrap();
    id
}

/// An event of an endpoint.
async fn theirs_event(tenant: &ApiTenant, webhook: &str) -> String {
    tenant.post(&format!("/webhooks/{webhook}/test"), &json!({})).await.text("/event_id")
}

/// What workers would make of a document: a chunk, which mentions an entity.
async fn in_the_graph(tenant: &ApiTenant, name: &str, text: &str) {
    let kb = tenant.stores.catalog().kb(&KbId::first()).await.unwrap().unwrap();
    let (index, document) = (tenant.stores.index(), DocumentId::of_name(name));
    let chunk = Chunk { order: 0, tokens: 3, content: text.to_owned() };
    index.chunks_replace(&kb, &document, name, &[chunk]).await.unwrap();
    let mention = Mention {
        kind: MentionKind::Entity { name: ENTITY.into(), entity_type: "plan".into() },
        chunk_id: document.chunk_id(0),
        description: text.to_owned(),
    };
    index.graph_replace(&kb, &document, name, &[mention]).await.unwrap();
    // Without one of its chunks, which can be asked for once more.
    let fault = ChunkFault { code: "content_filtered".into(), detail: "why".into(), retryable: true };
    let losses =
        Losses { chunks_failed: 1, chunks: vec![FailedChunk { chunk: 1, fault }], ..Losses::default() };
    let built = (DocumentCounts { chunks: 2, entities: 1, relations: 0 }, &losses);
    let catalog = tenant.stores.catalog();
    assert!(catalog.document_built(&kb.id, &document, 1, built, Api::start_time()).await.unwrap());
}

/// Only in the graphs of those who have the bait.
const ENTITY: &str = "Secret Plan";

fn discarded() -> Verdict {
    Verdict::Discarded { code: "too_complex", reason: "split it".to_owned() }
}

fn filled(route: &Route, tenant: &str, kb: &str, bait: &Bait) -> String {
    let job = if route.path.starts_with("/dead-letters") { &bait.dead } else { &bait.job };
    route
        .path
        .replace("{tenant}", tenant)
        .replace("{kb}", kb)
        .replace("{job}", job)
        .replace("{document}", bait.document.as_str())
        .replace("{batch}", &bait.batch)
        .replace("{schedule}", "nightly")
        .replace("{queue}", "documents")
        .replace("{identity}", &bait.member)
        .replace("{invitation}", &bait.invitation)
        .replace("{key}", &bait.key)
        .replace("{webhook}", &bait.webhook)
        .replace("{event}", &bait.event)
        .replace("{worker}", &bait.worker)
        .replace("{chunk}", "0")
        .replace("{name}", ENTITY)
}

pub(super) fn with_body(route: &Route, request: RequestBuilder) -> RequestBuilder {
    let request = named_kb(route, request);
    if matches!((route.method, route.path), ("post", "/kbs/{kb}/documents" | "/documents")) {
        let part = reqwest::multipart::Part::bytes(&b"text"[..]).file_name("intruder.md");
        return request.multipart(reqwest::multipart::Form::new().part("file", part));
    }
    match body(route) {
        Some(body) => request.json(&body),
        None => request,
    }
}

/// Names the knowledge base where the path does not.
pub(super) fn named_kb(route: &Route, request: RequestBuilder) -> RequestBuilder {
    if route.path.starts_with("/documents") { request.header("x-kb-id", "default") } else { request }
}

pub(super) fn method(route: &Route) -> Method {
    route.method.to_uppercase().parse().unwrap()
}

/// The routes about one tenant.
pub(super) fn tenant_routes() -> impl Iterator<Item = &'static Route> {
    let about_one = |route: &&Route| route.scope == Scope::Tenant || route.path.contains("{tenant}");
    ROUTES.iter().filter(about_one)
}

pub(super) fn full_path(route: &Route, tenant: &str, kb: &str, bait: &Bait) -> String {
    let prefix =
        if route.scope == Scope::Tenant { format!("/api/v1/tenants/{tenant}") } else { "/api/v1".into() };
    prefix + &filled(route, tenant, kb, bait)
}

pub(super) async fn ask(api: &Api, route: &Route, path: &str, key: &str) -> Reply {
    send(with_body(route, api.request(method(route), path)).bearer_auth(key)).await
}

#[tokio::test]
async fn another_tenants_things_do_not_exist() {
    let api = Api::start().await;
    let (mine, theirs) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let bait = bait(&api, &theirs).await;
    let before = (Written::of(&api, &mine).await, Written::of(&api, &theirs).await);
    let nobody = send(api.request(Method::GET, "/api/v1/tenants/nobody").bearer_auth(&mine.key)).await;
    problem(&nobody, 403, "tenant_mismatch");
    for route in tenant_routes() {
        let path = full_path(route, &theirs.id, "default", &bait);
        let reply = ask(&api, route, &path, &mine.key).await;
        assert_eq!(reply.status, 403, "{} {path}", route.method);
        assert_eq!(reply.bytes, nobody.bytes, "{} {path}", route.method);
        let unknown = full_path(route, "nobody", "default", &bait);
        assert_eq!(ask(&api, route, &unknown, &mine.key).await.bytes, nobody.bytes, "{unknown}");
    }
    assert_eq!((Written::of(&api, &mine).await, Written::of(&api, &theirs).await), before);
}

#[tokio::test]
async fn nor_when_a_header_names_the_tenant() {
    let api = Api::start().await;
    let (mine, theirs) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let bait = bait(&api, &theirs).await;
    let before = Written::of(&api, &theirs).await;
    for route in tenant_routes().filter(|route| route.scope == Scope::Tenant) {
        let path = format!("/api/v1{}", filled(route, &theirs.id, "default", &bait));
        let request = with_body(route, api.request(method(route), &path)).bearer_auth(&mine.key);
        let reply = send(request.header("x-tenant-id", &theirs.id)).await;
        problem(&reply, 403, "tenant_mismatch");
    }
    assert_eq!(Written::of(&api, &theirs).await, before);
}

#[tokio::test]
async fn another_tenants_ids_mean_nothing_in_ones_own_tenant() {
    let api = Api::start().await;
    let (mine, theirs) = (api.tenant("acme").await, api.tenant("acme-2").await);
    theirs.kb_make(&api, "theirs").await;
    let bait = bait(&api, &theirs).await;
    let before = Written::of(&api, &mine).await;
    let nobody = send(mine.request(Method::GET, "/kbs/nowhere/graph")).await;
    problem(&nobody, 404, "not_found");
    for route in tenant_routes() {
        let ids =
            ["{job}", "{document}", "{batch}", "{identity}", "{invitation}", "{key}", "{name}", "{webhook}"];
        let names_an_id = ids.iter().any(|id| route.path.contains(id));
        let kb = if names_an_id { "default" } else { "theirs" };
        if names_an_id || route.path.contains("{kb}") {
            let path = full_path(route, &mine.id, kb, &bait);
            let reply = ask(&api, route, &path, &mine.key).await;
            if OPERATORS.contains(&(route.method, route.path)) {
                problem(&reply, 403, "forbidden");
                continue;
            }
            assert_eq!((reply.status, &reply.bytes), (404, &nobody.bytes), "{} {path}", route.method);
        }
    }
    assert_eq!(Written::of(&api, &mine).await, before);
}

/// Keeps the tests above honest: what they ask for is there, for its owner or for the operator.
#[tokio::test]
async fn the_owner_finds_everything() {
    let api = Api::start().await;
    for (number, route) in tenant_routes().enumerate() {
        let theirs = api.tenant(&format!("acme-{number}")).await;
        let bait = bait(&api, &theirs).await;
        let path = full_path(route, &theirs.id, "default", &bait);
        let mut reply = ask(&api, route, &path, &theirs.key).await;
        if OPERATORS.contains(&(route.method, route.path)) {
            problem(&reply, 403, "forbidden");
            reply = send(with_body(route, api.operator(method(route), &path))).await;
        }
        assert!((200..300).contains(&reply.status), "{} {path}: {reply:?}", route.method);
    }
}

/// Routes about one tenant that are not for its members.
pub(super) const OPERATORS: &[(&str, &str)] = &[
    ("patch", "/tenants/{tenant}"),
    ("delete", "/tenants/{tenant}"),
    ("post", "/suspend"),
    ("post", "/resume"),
];

#[tokio::test]
async fn every_route_but_the_open_ones_asks_who_is_there() {
    let api = Api::start().await;
    let theirs = api.tenant("acme-2").await;
    let bait = bait(&api, &theirs).await;
    for route in ROUTES {
        let reply = if route.scope == Scope::Open {
            api.get(route.path).await
        } else if (route.method, route.path) == ("post", "/tenants") {
            send(api.request(Method::POST, "/api/v1/tenants").json(&json!({ "name": "x" }))).await
        } else {
            let path = full_path(route, &theirs.id, "default", &bait);
            send(with_body(route, api.request(method(route), &path))).await
        };
        let expected = match route.path {
            // There is no such thing unless the installation allows it.
            "/signup" | "/auth/accept-invitation" => 404,
            _ if route.scope == Scope::Open && route.access == Access::Everybody => 200,
            _ => 401,
        };
        assert_eq!(reply.status, expected, "{} {}", route.method, route.path);
    }
}
