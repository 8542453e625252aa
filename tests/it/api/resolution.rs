//! Which tenant a request is about.

use api_thin::{Resolution, TenantSource};
use jobs::clock::Clock as _;
use jobs::tenant::{KbId, TenantContext, TenantStatus};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use stores::model::WorkspaceId;
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, send};

async fn api(resolution: Resolution) -> Api {
    Api::with(ApiOptions { resolution, ..ApiOptions::default() }).await
}

fn by_subdomain() -> Resolution {
    Resolution { base_domain: Some("example.test".into()), ..Resolution::default() }
}

/// A name that no other test uses: names are cached in the Redis that tests share.
fn unique(word: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{word}-{}", &id[20..])
}

fn jobs(api: &Api, tenant: &ApiTenant) -> RequestBuilder {
    api.request(Method::GET, "/api/v1/jobs").bearer_auth(&tenant.key)
}

async fn with_host(request: RequestBuilder, host: &str) -> Reply {
    send(request.header("host", host)).await
}

fn refused(reply: &Reply, status: StatusCode, code: &str) {
    assert_eq!((reply.status, reply.text("/code")), (status.as_u16(), code.to_owned()), "{reply:?}");
}

#[tokio::test]
async fn the_first_label_of_the_host_name_is_a_tenant() {
    let api = api(by_subdomain()).await;
    let (ours, theirs) = (api.tenant(&unique("acme")).await, api.tenant(&unique("acme2")).await);
    let host = |tenant: &ApiTenant| format!("{}.example.test", tenant.id);
    assert_eq!(with_host(jobs(&api, &ours), &host(&ours)).await.status, 200);
    assert_eq!(
        with_host(jobs(&api, &ours), &format!("{}:8443", host(&ours).to_uppercase())).await.status,
        200
    );
    for elsewhere in ["example.test", "www.example.test", "localhost", "203.0.113.9"] {
        assert_eq!(with_host(jobs(&api, &ours), elsewhere).await.status, 200, "{elsewhere}");
    }
    let foreign = with_host(jobs(&api, &ours), &host(&theirs)).await;
    refused(&foreign, StatusCode::FORBIDDEN, "tenant_mismatch");
    for nobody in ["nobody-here", "a.b", "$ne", "xn--acme"] {
        let reply = with_host(jobs(&api, &ours), &format!("{nobody}.example.test")).await;
        refused(&reply, StatusCode::NOT_FOUND, "not_found");
    }
    let conflict = jobs(&api, &ours).header("x-tenant-id", &ours.id);
    refused(&with_host(conflict, &host(&theirs)).await, StatusCode::BAD_REQUEST, "tenant_conflict");
}

#[tokio::test]
async fn only_a_trusted_proxy_can_forward_a_host_name() {
    let direct = api(by_subdomain()).await;
    let tenant = direct.tenant(&unique("acme")).await;
    let forwarded = |api: &Api, tenant: &ApiTenant| {
        jobs(api, tenant).header("x-forwarded-host", format!("{}.example.test", tenant.id))
    };
    let reply = send(forwarded(&direct, &tenant)).await;
    refused(&reply, StatusCode::BAD_REQUEST, "forwarded_host_untrusted");

    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let behind =
        api(Resolution { trusted_proxies, sources: vec![TenantSource::Subdomain], ..by_subdomain() }).await;
    let tenant = behind.tenant(&unique("acme")).await;
    assert_eq!(send(forwarded(&behind, &tenant)).await.status, 200);
    refused(&send(jobs(&behind, &tenant)).await, StatusCode::BAD_REQUEST, "tenant_required");
}

#[tokio::test]
async fn credentials_alone_are_not_enough_where_the_request_must_name_its_tenant() {
    let strict = api(Resolution { sources: vec![TenantSource::Header], ..Resolution::default() }).await;
    let tenant = strict.tenant(&unique("acme")).await;
    refused(&send(jobs(&strict, &tenant)).await, StatusCode::BAD_REQUEST, "tenant_required");
    assert_eq!(send(jobs(&strict, &tenant).header("x-tenant-id", &tenant.id)).await.status, 200);
    assert_eq!(tenant.get("/jobs").await.status, 200, "the path names it");
}

/// Whether the other tenant exists makes no difference.
#[tokio::test]
async fn credentials_of_another_tenant_are_refused_the_same_way_whether_it_exists_or_not() {
    let api = Api::start().await;
    let (ours, theirs) = (api.tenant(&unique("acme")).await, api.tenant(&unique("acme2")).await);
    let ask = async |tenant: &str| {
        let path = format!("/api/v1/tenants/{tenant}/jobs");
        send(api.request(Method::GET, &path).bearer_auth(&ours.key)).await
    };
    let (foreign, missing) = (ask(&theirs.id).await, ask("nobody").await);
    refused(&foreign, StatusCode::FORBIDDEN, "tenant_mismatch");
    assert_eq!((foreign.status, foreign.bytes), (missing.status, missing.bytes));
}

#[tokio::test]
async fn an_installation_without_tenancy_has_one_tenant_that_nobody_names() {
    let only = unique("only");
    let resolution =
        Resolution { only_tenant: Some(only.parse().unwrap()), anonymous: true, ..Resolution::default() };
    let api = api(resolution).await;
    // No request is served before the tenant exists.
    assert_eq!(api.get("/healthz").await.status, 200);
    let stores = api.opened.stores.scoped(&TenantContext::for_tests(&only));
    let kb =
        stores.catalog().kb_ensure(&KbId::first(), "First", &workspace(), api.clock.now()).await.unwrap();
    stores.index().provision(&kb).await.unwrap();
    let (from, to) = (TenantStatus::Provisioning, TenantStatus::Active);
    assert!(stores.catalog().tenant_status_move(from, to).await.unwrap(), "the API made the tenant");
    let upload = json!({ "name": "a.md", "text": "Ada Lovelace worked with Charles Babbage." });
    let path = "/api/v1/kbs/default/documents/text";
    assert_eq!(send(api.request(Method::POST, path).json(&upload)).await.status, 202);
    let other = send(api.request(Method::GET, "/api/v1/tenants/other/jobs")).await;
    refused(&other, StatusCode::NOT_FOUND, "not_found");
}

fn workspace() -> WorkspaceId {
    WorkspaceId::generate(Api::start_time(), rand::random())
}

#[tokio::test]
async fn a_token_may_bring_its_tenant_into_being() {
    let api = api(Resolution { auto_provision: true, ..Resolution::default() }).await;
    let id = unique("acme");
    let token = Claims::of(&id, "EDITOR").token();
    let ask = async || send(api.request(Method::GET, "/api/v1/jobs").bearer_auth(&token)).await;
    refused(&ask().await, StatusCode::CONFLICT, "tenant_not_ready");
    let jobs = ask().await.body();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "{jobs}");
    assert_eq!(jobs["jobs"][0]["type"], "tenant.provision");
    // They are its first member, as much as the token said; others are not.
    let me = api.me(&token).await.body();
    assert_eq!(
        (&me["memberships"][0]["tenant_id"], &me["memberships"][0]["role"]),
        (&json!(id), &json!("EDITOR"))
    );
    let eve = Claims { sub: "eve".into(), ..Claims::of(&id, "ADMIN") }.token();
    refused(&api.me(&eve).await, StatusCode::FORBIDDEN, "no_membership");
    let strict = Api::start().await;
    let unknown = strict.request(Method::GET, "/api/v1/jobs").bearer_auth(&token);
    refused(&send(unknown).await, StatusCode::FORBIDDEN, "no_membership");
}

/// Of several people who create one tenant at the same time, one becomes its member.
#[tokio::test]
async fn one_of_many_brings_a_tenant_into_being() {
    let api = api(Resolution { auto_provision: true, ..Resolution::default() }).await;
    let id = unique("acme");
    let tokens: Vec<_> = (0..6)
        .map(|number| Claims { sub: format!("ann-{number}"), ..Claims::of(&id, "ADMIN") }.token())
        .collect();
    let asked = tokens.iter().map(|token| send(api.request(Method::GET, "/api/v1/jobs").bearer_auth(token)));
    futures::future::join_all(asked).await;
    let mut members = 0;
    for token in &tokens {
        members += usize::from(api.me(token).await.status == 200);
    }
    assert_eq!(members, 1);
}
