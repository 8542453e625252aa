use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Reply, Written, problem, send};
use tests::wait::wait_for;

async fn make(tenant: &ApiTenant, body: Value) -> Reply {
    let reply = tenant.post("/api-keys", &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply
}

async fn with(tenant: &ApiTenant, key: &str, method: Method, path: &str) -> Reply {
    send(tenant.anonymous(method, path).bearer_auth(key)).await
}

async fn reads(tenant: &ApiTenant, key: &str) -> Reply {
    with(tenant, key, Method::GET, "/kbs/default/documents").await
}

#[tokio::test]
async fn the_secret_is_shown_once_and_works() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let made = make(&acme, json!({ "name": "importer" })).await;
    let (key, id) = (made.text("/api_key"), made.text("/id"));
    assert_eq!(made.header("location"), format!("/api/v1/tenants/acme/api-keys/{id}"));
    assert_eq!((made.header("cache-control"), made.text("/role").as_str()), ("no-store", "EDITOR"));
    assert_eq!(reads(&acme, &key).await.status, 200);
    let secret = key.rsplit_once('_').unwrap().1;
    for shown in [acme.get("/api-keys").await, acme.get(&format!("/api-keys/{id}")).await] {
        let text = String::from_utf8(shown.bytes.clone()).unwrap();
        assert!(text.contains(&id) && !text.contains(secret) && !text.contains("sha256"), "{text}");
    }
    // A key of two tenants with the same name and id parts is not the same key.
    let twin = api.tenant("acme-2").await;
    problem(&reads(&twin, &key).await, 403, "tenant_mismatch");
    problem(&reads(&twin, &key.replace("tk_acme_", "tk_acme-2_")).await, 401, "credentials_invalid");
}

#[tokio::test]
async fn a_key_does_no_more_than_it_was_made_for() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.kb_make(&api, "second").await;
    let body = json!({ "name": "n", "kb_id": "default", "permissions": ["document:create"] });
    let made = make(&acme, body).await;
    assert_eq!(made.body()["permissions"], json!(["document:create"]));
    let key = made.text("/api_key");
    let text = json!({ "name": "a.md", "text": "x" });
    let upload = async |kb: &str| {
        let path = format!("/kbs/{kb}/documents/text");
        send(acme.anonymous(Method::POST, &path).bearer_auth(&key).json(&text)).await
    };
    assert_eq!(upload("default").await.status, 202);
    let second = upload("second").await;
    problem(&second, 404, "not_found");
    assert_eq!(second.bytes, upload("nowhere").await.bytes);
    problem(&reads(&acme, &key).await, 403, "forbidden");
    problem(&with(&acme, &key, Method::GET, "/api-keys").await, 403, "forbidden");
    problem(&with(&acme, &key, Method::GET, "/members").await, 403, "forbidden");
}

/// Made without them, the key's holder would find out later.
#[tokio::test]
async fn permissions_that_the_role_lacks_are_refused_and_named() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let before = Written::of(&api, &acme).await;
    for (role, permissions, lacking) in [
        ("VIEWER", json!(["document:create", "document:read"]), "document:create"),
        ("EDITOR", json!(["document:create", "tenant:manage"]), "tenant:manage"),
        ("VIEWER_READONLY", json!(["query:run", "document:read"]), "document:read"),
        ("EDITOR", json!(["kb:delete", "tenant:manage_members"]), "tenant:manage_members"),
    ] {
        let body = json!({ "name": "n", "role": role, "permissions": permissions });
        let refused = acme.post("/api-keys", &body).await;
        problem(&refused, 400, "invalid_field");
        assert_eq!(refused.text("/field"), "permissions");
        assert!(refused.text("/detail").contains(lacking), "{refused:?}");
    }
    let none = acme.post("/api-keys", &json!({ "name": "n", "permissions": [] })).await;
    problem(&none, 400, "invalid_field");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn nobody_makes_a_key_that_may_do_more_than_they_may() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let narrow = json!({ "name": "manager", "role": "ADMIN", "permissions": ["tenant:manage", "document:read",
                         "tenant:manage_members"] });
    let narrow = make(&acme, narrow).await.text("/api_key");
    let admin = make(&acme, json!({ "name": "admin", "role": "ADMIN" })).await;
    let rotate = format!("/api-keys/{}/rotate", admin.text("/id"));
    let before = Written::of(&api, &acme).await;
    let post = async |path: &str, body: Value| {
        send(acme.anonymous(Method::POST, path).bearer_auth(&narrow).json(&body)).await
    };
    for (path, body) in [
        ("/api-keys", json!({ "name": "more", "role": "ADMIN" })),
        ("/api-keys", json!({ "name": "more" })),
        ("/api-keys", json!({ "name": "more", "permissions": ["document:read", "document:delete"] })),
        ("/members", json!({ "subject": "eve", "role": "ADMIN" })),
        (rotate.as_str(), json!({})),
    ] {
        let reply = post(path, body.clone()).await;
        problem(&reply, 403, "forbidden");
        assert!(reply.body()["permission"].is_string(), "{path} {body}");
    }
    assert_eq!(Written::of(&api, &acme).await, before);
    let same = post("/api-keys", json!({ "name": "same", "permissions": ["document:read"] })).await;
    assert_eq!(same.status, 201, "{same:?}");
    // The operator sees no data, and makes no key that does.
    let operators = api.operator(Method::POST, "/api/v1/tenants/acme/api-keys");
    problem(&send(operators.json(&json!({ "name": "spy" }))).await, 403, "forbidden");
    problem(
        &send(api.operator(Method::POST, &format!("/api/v1/tenants/acme{rotate}"))).await,
        403,
        "forbidden",
    );
}

#[tokio::test]
async fn a_revoked_or_expired_key_is_worth_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let soon = Api::start_time() + chrono::TimeDelta::seconds(60);
    let made = make(&acme, json!({ "name": "minute", "expires_at": soon.to_rfc3339() })).await;
    let other = make(&acme, json!({ "name": "other" })).await;
    let path = format!("/api-keys/{}", other.text("/id"));
    assert_eq!(reads(&acme, &other.text("/api_key")).await.status, 200);
    assert_eq!(send(acme.request(Method::DELETE, &path)).await.status, 204);
    problem(&reads(&acme, &other.text("/api_key")).await, 401, "credentials_invalid");
    for method in [Method::GET, Method::DELETE] {
        problem(&send(acme.request(method, &path)).await, 404, "not_found");
    }
    problem(&send(acme.request(Method::POST, &format!("{path}/rotate"))).await, 404, "not_found");
    assert_eq!(reads(&acme, &made.text("/api_key")).await.status, 200);
    api.clock.advance(Duration::from_secs(60));
    problem(&reads(&acme, &made.text("/api_key")).await, 401, "credentials_invalid");
}

#[tokio::test]
async fn a_rotated_key_has_another_secret_and_the_old_one_ends_in_time() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let made = make(&acme, json!({ "name": "importer" })).await;
    let (first, path) = (made.text("/api_key"), format!("/api-keys/{}/rotate", made.text("/id")));
    let rotated = acme.post(&path, &json!({ "grace_s": 60 })).await;
    let second = rotated.text("/api_key");
    assert_ne!(first, second);
    assert_eq!((reads(&acme, &first).await.status, reads(&acme, &second).await.status), (200, 200));
    api.clock.advance(Duration::from_secs(60));
    problem(&reads(&acme, &first).await, 401, "credentials_invalid");
    let third = send(acme.request(Method::POST, &path)).await.text("/api_key");
    problem(&reads(&acme, &second).await, 401, "credentials_invalid");
    assert_eq!(reads(&acme, &third).await.status, 200);
    for bad in [json!({ "grace_s": 86_401 }), json!({ "grace_s": -1 }), json!({ "grace_s": "1" })] {
        problem(&acme.post(&path, &bad).await, 400, "invalid_field");
    }
    problem(&acme.post(&path, &json!({ "secret": "mine" })).await, 400, "unknown_field");
    let stale = acme.request(Method::POST, &path).header("if-match", made.header("etag"));
    problem(&send(stale).await, 412, "precondition_failed");
    assert_eq!(reads(&acme, &third).await.status, 200);
    // The first key of the tenant too: what it was derived from does not bring it back.
    let (_, rest) = acme.key.split_once("tk_acme_").unwrap();
    let first_id = rest.split_once('_').unwrap().0;
    let next = send(acme.request(Method::POST, &format!("/api-keys/{first_id}/rotate"))).await;
    assert_eq!(next.status, 200, "{next:?}");
    problem(&acme.get("/kbs").await, 401, "credentials_invalid");
    assert_eq!(reads(&acme, &next.text("/api_key")).await.status, 200);
}

#[tokio::test]
async fn keys_are_listed_renamed_and_their_use_is_noted() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let made = make(&acme, json!({ "name": "one" })).await;
    make(&acme, json!({ "name": "two" })).await;
    let page = acme.get("/api-keys?limit=2").await.body();
    let next = page["next"].as_str().unwrap();
    let last = acme.get(&format!("/api-keys?limit=2&after={next}")).await.body();
    let count = |page: &Value| page["api_keys"].as_array().unwrap().len();
    assert_eq!((count(&page), count(&last), &last["next"]), (2, 1, &Value::Null));

    let path = format!("/api-keys/{}", made.text("/id"));
    let rename = |name: &str| acme.request(Method::PATCH, &path).json(&json!({ "name": name }));
    problem(&send(rename("two")).await, 409, "api_key_exists");
    let renamed = send(rename("renamed").header("if-match", made.header("etag"))).await;
    assert_eq!((renamed.status, renamed.text("/name").as_str()), (200, "renamed"));
    problem(&send(rename("third").header("if-match", made.header("etag"))).await, 412, "precondition_failed");

    assert_eq!(acme.get(&path).await.body()["last_used_at"], Value::Null);
    assert_eq!(reads(&acme, &made.text("/api_key")).await.status, 200);
    wait_for("the use to be noted", async || {
        let shown = acme.get(&path).await.body();
        if shown["last_used_at"].is_string() { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_and_leaves_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let twin = api.tenant("acme-2").await;
    twin.kb_make(&api, "theirs").await;
    make(&acme, json!({ "name": "taken" })).await;
    let before = Written::of(&api, &acme).await;
    for (body, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": "n".repeat(101) }), "name"),
        (json!({ "name": "x", "role": "ROOT" }), "role"),
        (json!({ "name": "x", "permissions": ["everything"] }), "permissions"),
        (json!({ "name": "x", "permissions": [] }), "permissions"),
        (json!({ "name": "x", "role": "VIEWER", "permissions": ["document:create"] }), "permissions"),
        (json!({ "name": "x", "kb_id": "nowhere" }), "kb_id"),
        (json!({ "name": "x", "kb_id": "theirs" }), "kb_id"),
        (json!({ "name": "x", "kb_id": "a' or 1=1" }), "kb_id"),
        (json!({ "name": "x", "expires_at": "tomorrow" }), "expires_at"),
        (json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "name": "x", "expires_at": Api::start_time().to_rfc3339() }), "expires_at"),
    ] {
        let reply = acme.post("/api-keys", &body).await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], field, "{body}");
    }
    problem(&acme.post("/api-keys", &json!({ "name": "taken" })).await, 409, "api_key_exists");
    for field in ["tenant_id", "secret_sha256", "id", "created_by"] {
        let mut body = json!({ "name": "x" });
        body[field] = "acme-2".into();
        problem(&acme.post("/api-keys", &body).await, 400, "unknown_field");
    }
    problem(&acme.get("/api-keys?limit=0").await, 400, "invalid_query");
    problem(&acme.get("/api-keys?after=%27").await, 400, "invalid_query");
    problem(&acme.get("/api-keys/%27").await, 404, "not_found");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn another_tenants_keys_are_not_there() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let theirs = make(&twin, json!({ "name": "theirs" })).await;
    let path = format!("/api-keys/{}", theirs.text("/id"));
    let nowhere = acme.get("/api-keys/nobody00").await;
    problem(&nowhere, 404, "not_found");
    let before = Written::of(&api, &twin).await;
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::DELETE, path.clone(), None),
        (Method::PATCH, path.clone(), Some(json!({ "name": "mine" }))),
        (Method::POST, format!("{path}/rotate"), Some(json!({ "grace_s": 60 }))),
    ] {
        for tenant in [&acme, &twin] {
            let request = tenant.anonymous(method.clone(), &path).bearer_auth(&acme.key);
            let reply = send(body.iter().fold(request, reqwest::RequestBuilder::json)).await;
            if tenant.id == acme.id {
                assert_eq!((reply.status, &reply.bytes), (404, &nowhere.bytes), "{method} {path}");
            } else {
                problem(&reply, 403, "tenant_mismatch");
            }
        }
    }
    assert_eq!(Written::of(&api, &twin).await, before);
    assert_eq!(reads(&twin, &theirs.text("/api_key")).await.status, 200);
}
