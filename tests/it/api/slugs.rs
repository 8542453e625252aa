//! What a tenant is called in host names.

use api_thin::Resolution;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

async fn api() -> Api {
    let resolution = Resolution { base_domain: Some("example.test".into()), ..Resolution::default() };
    Api::with(ApiOptions { resolution, ..ApiOptions::default() }).await
}

/// A name that no other test uses: names are cached in the Redis that tests share.
fn unique(word: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{word}-{}", &id[20..])
}

fn patch(tenant: &ApiTenant, body: &Value) -> RequestBuilder {
    tenant.request(Method::PATCH, "").json(body)
}

async fn call(tenant: &ApiTenant, slug: &str) -> Reply {
    send(patch(tenant, &json!({ "slug": slug }))).await
}

/// Asks with the tenant's key at a host name.
async fn at(api: &Api, tenant: &ApiTenant, slug: &str) -> Reply {
    let request = api.request(Method::GET, "/api/v1/jobs").bearer_auth(&tenant.key);
    send(request.header("host", format!("{slug}.example.test"))).await
}

#[tokio::test]
async fn a_tenant_is_found_by_its_new_slug_at_once_and_no_longer_by_the_old_one() {
    let api = api().await;
    let (acme, word, other) = (api.tenant(&unique("acme")).await, unique("word"), unique("other"));
    assert_eq!(acme.get("").await.text("/slug"), acme.id);
    assert_eq!(at(&api, &acme, &acme.id).await.status, 200);
    problem(&at(&api, &acme, &word).await, 404, "not_found");

    let reply = call(&acme, &word).await;
    assert_eq!((reply.status, reply.text("/slug")), (200, word.clone()), "{reply:?}");
    assert_eq!(at(&api, &acme, &word).await.status, 200);
    problem(&at(&api, &acme, &acme.id).await, 404, "not_found");
    assert_eq!(acme.get("").await.text("/slug"), word, "the path goes on to name the id");
    assert_eq!(acme.get("/limits").await.text("/slug"), word);
    let list = send(api.operator(Method::GET, "/api/v1/tenants")).await;
    assert_eq!(list.text("/tenants/0/slug"), word);

    let path = format!("/api/v1/tenants/{}", acme.id);
    let operators = api.operator(Method::PATCH, &path).json(&json!({ "slug": other, "name": "Other" }));
    assert_eq!(send(operators).await.text("/slug"), other);
    problem(&at(&api, &acme, &word).await, 404, "not_found");
    assert_eq!(at(&api, &acme, &other).await.status, 200);
    assert_eq!(call(&acme, &acme.id).await.status, 200, "its id is always its own");
    assert_eq!(at(&api, &acme, &acme.id).await.status, 200);
}

#[tokio::test]
async fn what_another_tenant_has_is_taken_and_no_more_is_said() {
    let api = api().await;
    let (ours, theirs) = (api.tenant(&unique("acme")).await, api.tenant(&unique("acme2")).await);
    let word = unique("word");
    assert_eq!(call(&theirs, &word).await.status, 200);
    let before = Written::of(&api, &ours).await;
    let taken = send(patch(&ours, &json!({ "slug": word, "name": "Half" }))).await;
    problem(&taken, 409, "slug_taken");
    let id = call(&ours, &theirs.id).await;
    assert_eq!((taken.status, &taken.bytes), (id.status, &id.bytes), "whether it is a slug or an id");
    assert_eq!(Written::of(&api, &ours).await, before);
    assert_eq!(at(&api, &theirs, &word).await.status, 200);
    assert_eq!(call(&theirs, &theirs.id).await.status, 200);
    assert_eq!(call(&ours, &word).await.status, 200, "it is nobody's any more");
    problem(&at(&api, &theirs, &word).await, 403, "tenant_mismatch");
    let named = json!({ "id": word, "name": "Late" });
    let late = send(api.operator(Method::POST, "/api/v1/tenants").json(&named)).await;
    problem(&late, 409, "tenant_exists");
}

#[tokio::test]
async fn a_slug_fits_into_a_host_name_and_is_not_reserved() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let before = Written::of(&api, &acme).await;
    for bad in ["", "ab", "Acme", "xn--acme", "а-cyrillic", "a.b", "a b", "-acme", "'; drop table", "$ne"] {
        let reply = call(&acme, bad).await;
        problem(&reply, 400, "invalid_slug");
        assert_eq!(reply.text("/field"), "slug", "{bad}");
    }
    for reserved in ["www", "admin", "api"] {
        problem(&call(&acme, reserved).await, 400, "reserved_slug");
    }
    problem(&send(patch(&acme, &json!({ "slug": { "$ne": 1 } }))).await, 400, "invalid_field");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn only_who_manages_the_tenant_names_it_and_only_as_it_was_seen() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let body = json!({ "slug": unique("word") });
    for role in ["EDITOR", "VIEWER", "VIEWER_READONLY"] {
        let request = api.bearer(Method::PATCH, "/api/v1/tenants/acme", &Claims::of("acme", role).token());
        problem(&send(request.json(&body)).await, 403, "forbidden");
    }
    let seen = acme.get("").await.header("etag").to_owned();
    let named = send(patch(&acme, &body).header("if-match", &seen)).await;
    assert_eq!(named.status, 200);
    assert_ne!(named.header("etag"), seen);
    problem(
        &send(patch(&acme, &json!({ "name": "x" })).header("if-match", &seen)).await,
        412,
        "precondition_failed",
    );
    assert_eq!(acme.get("").await.header("etag"), named.header("etag"));
}
