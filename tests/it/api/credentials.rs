use chrono::TimeDelta;
use jobs::clock::Clock as _;
use jobs::tenant::Role;
use jsonwebtoken::Algorithm;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use stores::model::NewApiKey;
use tests::api::{Api, Claims, Written, problem, send};

const DOCUMENTS: &str = "/api/v1/tenants/acme/kbs/default/documents";

async fn list(api: &Api, dress: impl Fn(RequestBuilder) -> RequestBuilder) -> tests::api::Reply {
    send(dress(api.request(Method::GET, DOCUMENTS))).await
}

#[tokio::test]
async fn no_credentials_are_401_with_a_challenge() {
    let api = Api::start().await;
    api.tenant("acme").await;
    let reply = api.get(DOCUMENTS).await;
    problem(&reply, 401, "credentials_missing");
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"tenantry\"");
    // Without credentials a caller does not learn which tenants exist.
    let other = api.get("/api/v1/tenants/nobody/kbs/default/documents").await;
    assert_eq!(reply.bytes, other.bytes);
}

#[tokio::test]
async fn bad_credentials_are_401() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let claims = Claims::of("acme", "ADMIN");
    let (half, _) = acme.key.rsplit_once('_').unwrap();
    let unsigned = {
        let token = claims.token();
        let (_, rest) = token.split_once('.').unwrap();
        let (body, _) = rest.split_once('.').unwrap();
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")
    };
    let expired = Claims { exp: Api::start_time().timestamp() - 60, ..claims.clone() }.token();
    for bad in [
        "nonsense".to_owned(),
        format!("{half}_{}", "0".repeat(64)),
        acme.key.replace("acme", "nobody"),
        unsigned,
        expired,
        claims.signed(Algorithm::HS512, "jwt-secret-of-the-tests-0123456789ab"),
        claims.signed(Algorithm::HS256, "another secret of more than 32 bytes"),
        Claims { role: "ROOT".into(), ..claims.clone() }.token(),
        Claims { sub: String::new(), ..claims.clone() }.token(),
    ] {
        let reply = list(&api, |request| request.bearer_auth(&bad)).await;
        problem(&reply, 401, "credentials_invalid");
        assert!(reply.header("www-authenticate").contains("invalid_token"), "{bad}");
    }
    let two = list(&api, |request| request.bearer_auth(&acme.key).header("x-api-key", "other")).await;
    assert_eq!(two.status, 401);
    let basic = list(&api, |request| request.basic_auth("acme", Some(&acme.key))).await;
    assert_eq!(basic.status, 401);
}

#[tokio::test]
async fn good_credentials_of_every_kind_are_let_in() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "VIEWER").await;
    let token = Claims::of("acme", "VIEWER").token();
    assert_eq!(list(&api, |request| request.bearer_auth(&acme.key)).await.status, 200);
    assert_eq!(list(&api, |request| request.header("x-api-key", &acme.key)).await.status, 200);
    assert_eq!(list(&api, |request| request.bearer_auth(&token)).await.status, 200);
}

#[tokio::test]
async fn a_missing_permission_is_403_and_named() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let before = Written::of(&api, &acme).await;
    let viewer = Claims::of("acme", "VIEWER").token();
    let text = json!({ "name": "a.md", "text": "x" });
    let schedule = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    for (request, permission) in [
        (acme.anonymous(Method::POST, "/kbs/default/documents/text").json(&text), "document:create"),
        (acme.anonymous(Method::POST, "/kbs/default/reindex"), "document:update"),
        (acme.anonymous(Method::PUT, "/kbs/default/schedules/nightly").json(&schedule), "job:manage"),
    ] {
        let reply = send(request.bearer_auth(&viewer)).await;
        problem(&reply, 403, "forbidden");
        assert_eq!(reply.body()["permission"], permission);
    }
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn the_operator_makes_tenants_and_reads_none_of_their_data() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    assert_eq!(send(api.operator(Method::GET, "/api/v1/tenants/acme")).await.status, 200);
    assert_eq!(send(api.operator(Method::GET, "/api/v1/tenants/acme/jobs")).await.status, 200);
    problem(&send(api.operator(Method::GET, DOCUMENTS)).await, 403, "forbidden");
    let unknown = send(api.operator(Method::GET, "/api/v1/tenants/nobody")).await;
    problem(&unknown, 404, "not_found");
    problem(&send(api.operator(Method::GET, "/api/v1/jobs")).await, 400, "tenant_required");
    let body = json!({ "name": "Mine" });
    let tenant = send(api.request(Method::POST, "/api/v1/tenants").bearer_auth(&acme.key).json(&body)).await;
    problem(&tenant, 403, "forbidden");
}

#[tokio::test]
async fn a_key_ends_with_its_time_and_a_narrow_key_stays_narrow() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let key: api_thin::auth::ApiKey = "tk_acme_viewer01_secret".parse().unwrap();
    let ends = api.clock.now() + TimeDelta::seconds(60);
    let row = NewApiKey {
        id: key.id.clone(),
        name: "for a minute".into(),
        secret_sha256: key.secret_hash().to_hex(),
        role: Role::Viewer,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at: Some(ends),
    };
    acme.stores.catalog().api_key_ensure(&row, api.clock.now()).await.unwrap();
    let asked = |method, path: &str| acme.anonymous(method, path).bearer_auth(key.reveal());
    assert_eq!(send(asked(Method::GET, "/kbs/default/documents")).await.status, 200);
    let reindex = send(asked(Method::POST, "/kbs/default/reindex")).await;
    problem(&reindex, 403, "forbidden");
    api.clock.advance(std::time::Duration::from_secs(60));
    problem(&send(asked(Method::GET, "/kbs/default/documents")).await, 401, "credentials_invalid");
}

#[tokio::test]
async fn a_token_for_one_knowledge_base_reaches_no_other() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.kb_make(&api, "second").await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let token = Claims { kb_id: Some("default".into()), ..Claims::of("acme", "ADMIN") }.token();
    let get = async |path: &str| send(acme.anonymous(Method::GET, path).bearer_auth(&token)).await;
    assert_eq!(get("/kbs/default/documents").await.status, 200);
    let other = get("/kbs/second/documents").await;
    problem(&other, 404, "not_found");
    assert_eq!(other.bytes, get("/kbs/nowhere/documents").await.bytes);
    let listed = get("/kbs").await.body();
    assert_eq!(listed["kbs"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn path_and_headers_must_agree() {
    let api = Api::start().await;
    let (acme, _) = (api.tenant("acme").await, api.tenant("other").await);
    let get = async |path: &str, tenant: &str, kb: &str| {
        let request = api.request(Method::GET, path).bearer_auth(&acme.key);
        send(request.header("x-tenant-id", tenant).header("x-kb-id", kb)).await
    };
    assert_eq!(get(DOCUMENTS, "acme", "default").await.status, 200);
    assert_eq!(get("/api/v1/kbs/default/documents", "acme", "default").await.status, 200);
    problem(&get(DOCUMENTS, "acme", "second").await, 400, "kb_conflict");
    // Whether the other tenant exists makes no difference.
    let exists = get(DOCUMENTS, "other", "default").await;
    problem(&exists, 400, "tenant_conflict");
    assert_eq!(exists.bytes, get(DOCUMENTS, "nobody", "default").await.bytes);
}
