//! The audit log: what is in it is made from the table of routes.

use std::sync::Arc;
use std::time::Duration;

use api_thin::IdentityConfig;
use api_thin::config::AccountRules;
use api_thin::routes::{Access, Audit, Scope};
use api_thin::{ROUTES, Route};
use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::{StreamExt as _, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stores::model::{AuditFilter, LoggedAction};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, OPERATOR_KEY, Reply, problem, send};
use tests::wait::wait_for;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::every_route::{OPERATORS, bait, full_path, method, with_body};

/// Everything that is in any log, newest first.
async fn everything(api: &Api) -> Vec<LoggedAction> {
    api.opened.directory.audit(&AuditFilter::default(), None, 1_000).await.unwrap().items
}

/// The entries of one request.
async fn entries(api: &Api, request_id: &str) -> Vec<LoggedAction> {
    everything(api).await.into_iter().filter(|found| found.entry.request_id == request_id).collect()
}

/// What the tenant itself reads.
async fn log(tenant: &ApiTenant, query: &str) -> Vec<Value> {
    let reply = tenant.get(&format!("/audit{query}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body()["entries"].as_array().unwrap().clone()
}

const REASON: &str = "a caf\u{e9} asked, 100 %";
const REASON_SENT: &str = "a%20caf%C3%A9 asked, 100 %25";

/// Sends a request to a route, with good ids and body, as those who may.
async fn sent(api: &Api, route: &Route, tenant: &ApiTenant, path: &str, id: &str) -> Reply {
    let is_operators = OPERATORS.contains(&(route.method, route.path)) || route.access == Access::Operator;
    let key = if is_operators { OPERATOR_KEY } else { &tenant.key };
    let request = with_body(route, api.request(method(route), path)).bearer_auth(key);
    send(request.header("x-request-id", id).header("audit-reason", REASON_SENT)).await
}

#[tokio::test]
async fn each_request_leaves_the_entry_that_the_table_says() {
    let api = Api::start().await;
    let mut logged = 0;
    for (number, route) in ROUTES.iter().enumerate() {
        let tenant = api.tenant(&format!("acme-{number}")).await;
        let bait = bait(&api, &tenant).await;
        let path = match route.scope {
            Scope::Open => route.path.to_owned(),
            Scope::Api | Scope::Tenant => full_path(route, &tenant.id, "default", &bait),
        };
        let id = format!("request-{number}");
        let reply = sent(&api, route, &tenant, &path, &id).await;
        let what = format!("{} {path}: {reply:?}", route.method);
        let found = entries(&api, &id).await;
        if !route.audit.is_logged() {
            assert_eq!(found, [], "{what}");
            continue;
        }
        logged += 1;
        let [LoggedAction { tenant: in_log, entry }] = found.as_slice() else { panic!("{what}: {found:?}") };
        assert!(reply.status < 300, "{what}");
        assert_eq!((entry.status, &*entry.action), (Some(reply.status), &*route.operation_id()), "{what}");
        assert_eq!(entry.reason.as_deref(), Some(REASON), "{what}");
        let about_one = route.scope == Scope::Tenant || route.path.contains("{tenant}");
        match (route.audit, about_one) {
            (Audit::Logged, true) => {
                assert_eq!(in_log.as_ref().map(ToString::to_string), Some(tenant.id.clone()), "{what}");
            }
            (Audit::LoggedForOperator, _) => {
                assert_eq!((in_log, &entry.target["tenant"]), (&None, &tenant.id), "{what}");
            }
            _ => assert_eq!(*in_log, None, "{what}"),
        }
        // What the path names, and where the answer points to.
        let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for name in named.filter(|name| *name != "tenant") {
            let value = &entry.target[name];
            let found = reqwest::Url::parse(&format!("http://x{path}")).unwrap();
            assert!(found.path().contains(value.as_str()) && !value.is_empty(), "{what}: {value}");
        }
        let location = entry.target.get("location").map_or("", String::as_str);
        assert_eq!(location, reply.header("location"), "{what}");
    }
    assert!(logged > 30, "only {logged} routes are logged");
}

/// What is exempt is known, with a reason: a new route that changes something is logged, or is added here.
#[test]
fn what_changes_something_and_is_not_logged_is_known() {
    let exempt = ROUTES.iter().filter_map(|route| match route.audit {
        Audit::Exempt(why) => Some((why, route.path)),
        _ => None,
    });
    let (reasons, paths): (Vec<_>, Vec<_>) = exempt.unzip();
    assert!(reasons.iter().all(|why| why.len() > 10));
    let known = [
        "/auth/login",
        "/auth/refresh",
        "/auth/logout",
        "/auth/password",
        "/auth/accept-invitation",
        "/signup",
        "/kbs/{kb}/documents",
        "/kbs/{kb}/documents/text",
        "/kbs/{kb}/documents/batch",
        "/kbs/{kb}/documents/{document}",
        "/documents",
        "/documents/text",
        "/documents/batch",
        "/documents/{document}",
    ];
    assert_eq!(paths, known);
    for route in ROUTES {
        assert_eq!(route.audit == Audit::Reads, route.method == "get", "{}", route.path);
    }
}

#[tokio::test]
async fn what_fails_after_the_caller_was_let_in_is_logged_and_strangers_are_not() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    acme.member(&api, "product:ann", "VIEWER").await;
    let viewer = Claims::of("acme", "VIEWER").token();
    let before = everything(&api).await;
    let cancel = |key: &str| acme.anonymous(Method::POST, "/jobs/cancel").bearer_auth(key.to_owned());
    let filter = json!({ "states": ["available"] });
    problem(
        &send(acme.anonymous(Method::POST, "/jobs/cancel").json(&filter)).await,
        401,
        "credentials_missing",
    );
    problem(&send(cancel("nonsense").json(&filter)).await, 401, "credentials_invalid");
    problem(&send(cancel(&other.key).json(&filter)).await, 403, "tenant_mismatch");
    problem(&send(cancel(&viewer).json(&filter)).await, 403, "forbidden");
    let unknown = api.operator(Method::POST, "/api/v1/tenants/nobody/suspend");
    problem(&send(unknown).await, 404, "not_found");
    let unrouted = api.operator(Method::POST, "/api/v1/tenants/acme/nothing");
    problem(&send(unrouted).await, 404, "unknown_route");
    assert_eq!(everything(&api).await, before);

    problem(
        &send(cancel(&acme.key).body("{").header("content-type", "application/json")).await,
        400,
        "malformed_json",
    );
    problem(&send(acme.request(Method::DELETE, "/jobs/nothing%00%20here")).await, 404, "not_found");
    problem(&send(acme.request(Method::PATCH, "").json(&json!({ "plan": "pro" }))).await, 403, "forbidden");
    let found: Vec<_> = log(&acme, "").await;
    let row = |entry: &Value| (entry["action"].clone(), entry["status"].clone());
    let mut rows: Vec<_> = found.iter().map(row).collect();
    rows.sort_by_key(|(action, _)| action.to_string());
    assert_eq!(
        rows,
        [
            (json!("cancel_matching"), json!(400)),
            (json!("cancel_one"), json!(404)),
            (json!("settings_change"), json!(403))
        ]
    );
    let one = found.iter().find(|entry| entry["action"] == "cancel_one").unwrap();
    assert_eq!(one["target"]["job"], "nothing\0 here");
    assert_eq!(log(&other, "").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_reason_that_cannot_be_read_is_refused_before_anything_is_done() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let pause =
        |reason: &str| acme.request(Method::POST, "/jobs/pause").header("audit-reason", reason.to_owned());
    for bad in ["a%0Ab", "%FF", &"a".repeat(301)] {
        problem(&send(pause(bad)).await, 400, "invalid_audit_reason");
    }
    assert_eq!(everything(&api).await.iter().filter(|found| found.tenant.is_some()).count(), 0);
    let tenant = acme.stores.catalog().tenant().await.unwrap().unwrap();
    assert_eq!(tenant.flows, [].into());
    assert_eq!(send(pause(" ")).await.status, 200);
    assert_eq!(log(&acme, "").await[0]["reason"], Value::Null);
    // Where nothing is logged, nothing is read of it.
    assert_eq!(send(acme.request(Method::GET, "/jobs").header("audit-reason", "%FF")).await.status, 200);
}

/// A word that is in every text of a body. It is no part of an id, so no location names it.
const CANARY: &str = "Canary_7F3A";

fn with_canary(body: &mut Value) {
    match body {
        Value::Object(fields) => fields.values_mut().for_each(with_canary),
        Value::Array(items) => items.iter_mut().for_each(with_canary),
        Value::String(text) => *text = format!("{text}{CANARY}"),
        _ => {}
    }
}

#[tokio::test]
async fn no_body_and_no_secret_gets_into_the_log() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let bait = bait(&api, &acme).await;
    let mut secrets = vec![acme.key.clone(), OPERATOR_KEY.to_owned(), CANARY.to_owned()];
    for route in ROUTES.iter().filter(|route| route.audit.is_logged() && route.method != "delete") {
        let path = full_path(route, &acme.id, "default", &bait);
        for spoil in [true, false] {
            let Some(mut body) = super::bodies::body(route) else { continue };
            if spoil {
                with_canary(&mut body);
            }
            let path = format!("{path}?secret={CANARY}");
            for key in [acme.key.as_str(), OPERATOR_KEY] {
                let request = api.request(method(route), &path).bearer_auth(key).header("cookie", CANARY);
                let reply = send(request.json(&body)).await;
                for pointer in ["/api_key", "/invitation", "/secret"] {
                    secrets.extend(reply.body().pointer(pointer).and_then(Value::as_str).map(str::to_owned));
                }
            }
        }
    }
    // The first key of the tenant, another key, that key anew, and an invitation.
    assert!(secrets.len() >= 6, "{secrets:?}");
    let seen = send(api.operator(Method::GET, "/api/v1/audit?limit=1000")).await;
    let text = format!("{:?} {}", everything(&api).await, String::from_utf8_lossy(&seen.bytes));
    assert!(text.len() > 5_000, "{text}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

async fn act(request: RequestBuilder) {
    let reply = send(request).await;
    assert!(reply.status < 300, "{reply:?}");
}

#[tokio::test]
async fn a_tenant_reads_its_own_log_and_the_operator_all_of_them() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    act(acme.request(Method::POST, "/jobs/pause").header("audit-reason", "maintenance")).await;
    api.clock.advance(Duration::from_secs(10));
    act(api.operator(Method::POST, "/api/v1/tenants/acme/jobs/cancel-all")).await;
    api.clock.advance(Duration::from_secs(10));
    act(other.request(Method::POST, "/jobs/pause")).await;
    act(api.operator(Method::POST, "/api/v1/queues/documents/pause")).await;

    let mine = log(&acme, "").await;
    let actions: Vec<_> = mine.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["cancel_everything", "flow_pause"], "newest first");
    assert_eq!((&mine[0]["actor"], &mine[1]["reason"]), (&json!("operator"), &json!("maintenance")));
    assert_eq!(mine[1]["actor"].as_str().unwrap().split(':').next(), Some("api_key"));
    for filter in ["?actor=operator", "?action=cancel_everything", "?since=2027-01-15T08:00:05Z"] {
        assert_eq!(log(&acme, filter).await, mine[..1], "{filter}");
    }
    assert_eq!(log(&acme, "?until=2027-01-15T08:00:05Z").await, mine[1..]);
    let page = acme.get("/audit?limit=1").await;
    assert_eq!(page.body()["entries"][0], mine[0]);
    assert_eq!(log(&acme, &format!("?limit=1&after={}", page.text("/next"))).await, mine[1..]);
    problem(&acme.get("/audit?after=x").await, 400, "invalid_query");
    problem(&acme.get("/audit?since=yesterday").await, 400, "invalid_query");
    // Without the prefix, the credentials say whose log is meant.
    let own = send(api.request(Method::GET, "/api/v1/audit").bearer_auth(&acme.key)).await;
    assert_eq!(own.body()["entries"], json!(mine));

    let all = send(api.operator(Method::GET, "/api/v1/audit")).await.body();
    let row = |entry: &Value| (entry["tenant"].clone(), entry["action"].as_str().unwrap().to_owned());
    let rows: Vec<_> = all["entries"].as_array().unwrap().iter().map(row).collect();
    for expected in [
        (json!("acme"), "flow_pause"),
        (json!("acme"), "cancel_everything"),
        (json!("acme-2"), "flow_pause"),
        (Value::Null, "flow_pause_queue"),
        (Value::Null, "tenants_create"),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        assert!(rows.contains(&expected), "{expected:?} in {rows:?}");
    }
    let of_acme = send(api.operator(Method::GET, "/api/v1/tenants/acme/audit")).await.body();
    assert_eq!(of_acme["entries"], json!(mine));
}

#[tokio::test]
async fn the_log_is_for_those_who_manage_the_whole_tenant() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "EDITOR").await;
    let editor = Claims::of("acme", "EDITOR").token();
    problem(&send(acme.anonymous(Method::GET, "/audit").bearer_auth(editor)).await, 403, "forbidden");
    let narrow = json!({ "name": "narrow", "role": "ADMIN", "kb_id": "default" });
    let narrow = acme.post("/api-keys", &narrow).await.text("/api_key");
    problem(&send(acme.anonymous(Method::GET, "/audit").bearer_auth(narrow)).await, 403, "forbidden");
    problem(&send(api.request(Method::GET, "/api/v1/audit")).await, 401, "credentials_missing");
}

#[tokio::test]
async fn a_person_who_is_also_the_operator_is_named() {
    let rules =
        AccountRules { super_admins: ["local:root".parse().unwrap()].into(), ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    let api = Api::with(ApiOptions { identity, ..ApiOptions::default() }).await;
    let (own, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    own.founder(&api, "root").await;
    let token = api.log_in("root").await.text("/access_token");
    act(api.bearer(Method::POST, "/api/v1/tenants/acme/jobs/pause", &token)).await;
    act(api.bearer(Method::POST, "/api/v1/tenants/acme-2/jobs/cancel-all", &token)).await;
    act(api.bearer(Method::POST, "/api/v1/tenants/acme-2/suspend", &token)).await;
    let new = json!({ "name": "New" });
    act(api.bearer(Method::POST, "/api/v1/tenants", &token).json(&new)).await;
    let named = everything(&api).await.into_iter().filter(|found| found.entry.actor == "local:root");
    let tenants: Vec<_> = named.map(|found| found.tenant.map(|tenant| tenant.to_string())).collect();
    assert_eq!(tenants.len(), 4, "{tenants:?}");
    for (tenant, count) in [(None, 1), (Some(own.id), 1), (Some(other.id), 2)] {
        assert_eq!(tenants.iter().filter(|found| **found == tenant).count(), count, "{tenant:?}");
    }
}

/// The client has sent its headers and leaves while the server waits for the body.
#[tokio::test]
async fn an_action_whose_client_leaves_is_logged_without_a_status() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let let_in = Arc::new(Notify::new());
    let (begun, key) = (Arc::clone(&let_in), acme.key.clone());
    // The body is asked for when the caller was let in, and never comes.
    let body = stream::once(async move {
        begun.notify_one();
        Ok::<_, std::io::Error>(Bytes::from_static(b"{"))
    });
    let request = Request::post("/api/v1/tenants/acme/dead-letters/purge")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("x-request-id", "left")
        .header("audit-reason", "impatient")
        .body(Body::from_stream(body.chain(stream::pending())))
        .unwrap();
    let asked = tokio::spawn(api.router().oneshot(request));
    let_in.notified().await;
    assert_eq!(entries(&api, "left").await, [], "it is not over");
    asked.abort();
    let found = wait_for("the entry", async || {
        let found = entries(&api, "left").await;
        if found.is_empty() { Err("none") } else { Ok(found) }
    })
    .await;
    let [LoggedAction { tenant, entry }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(tenant.as_ref().map(ToString::to_string), Some(acme.id));
    assert_eq!((entry.status, entry.reason.as_deref()), (None, Some("impatient")));
    assert_eq!(entry.action, "dead_letters_purge_matching");
}
