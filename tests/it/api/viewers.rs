//! What each role is for, seen from outside: an EDITOR deletes a knowledge base, a `VIEWER_READONLY` reads no document,
//! and the dashboard shows each of them what they may see, in words.

use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::json;
use tests::api::{Api, ApiTenant, Claims, problem, send};

/// A tenant, and a member of each of two roles.
async fn site(api: &Api) -> (ApiTenant, String, String) {
    let acme = api.tenant("acme").await;
    acme.member(api, "product:ed", "EDITOR").await;
    acme.member(api, "product:quinn", "VIEWER_READONLY").await;
    let token = |sub: &str, role| Claims { sub: sub.to_owned(), ..Claims::of("acme", role) }.token();
    let (editor, asks_only) = (token("ed", "ADMIN"), token("quinn", "ADMIN"));
    (acme, editor, asks_only)
}

#[tokio::test]
async fn an_editor_deletes_a_knowledge_base_of_their_tenant_alone() {
    let api = Api::start().await;
    let (acme, editor, _) = site(&api).await;
    let twin = api.tenant("acme-2").await;
    for tenant in [&acme, &twin] {
        tenant.kb_make(&api, "papers").await;
    }
    let delete = async |tenant: &ApiTenant| {
        send(tenant.anonymous(Method::DELETE, "/kbs/papers").bearer_auth(&editor)).await
    };
    let deleted = delete(&acme).await;
    assert_eq!((deleted.status, deleted.text("/kb_id").as_str()), (202, "papers"), "{deleted:?}");
    problem(&delete(&twin).await, 403, "tenant_mismatch");
    assert_eq!(twin.get("/kbs/papers").await.status, 200);
}

#[tokio::test]
async fn a_viewer_readonly_asks_questions_and_reads_no_document() {
    let api = Api::start().await;
    let (acme, _, asks_only) = site(&api).await;
    for path in ["/kbs", "/kbs/default", "/kbs/default/documents", "/kbs/default/graph", "/batches"] {
        let refused = send(acme.anonymous(Method::GET, path).bearer_auth(&asks_only)).await;
        problem(&refused, 403, "forbidden");
        assert_eq!(refused.text("/permission"), "document:read", "{path}");
    }
    for path in ["", "/usage", "/limits", "/jobs"] {
        let reply = send(acme.anonymous(Method::GET, path).bearer_auth(&asks_only)).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn credentials_say_what_they_may_do() {
    let api = Api::start().await;
    let (acme, editor, asks_only) = site(&api).await;
    assert_eq!(api.me(&asks_only).await.body()["permissions"], json!(["query:run"]), "the membership counts");
    let may = api.me(&editor).await.body()["permissions"].clone();
    assert!(may.as_array().unwrap().contains(&json!("kb:delete")), "{may}");
    let narrow =
        json!({ "name": "narrow", "role": "VIEWER", "permissions": ["query:run"], "kb_id": "default" });
    let narrow = acme.post("/api-keys", &narrow).await.text("/api_key");
    assert_eq!(api.me(&narrow).await.body()["permissions"], json!(["query:run"]));
    assert_eq!(api.me(tests::api::OPERATOR_KEY).await.body()["permissions"], json!([]));
}

/// A page of the dashboard, as the holder of a key sees it: status and text.
struct Browser(Client, String);

impl Browser {
    async fn sign_in(api: &Api, key: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let request = client.post(format!("{}/sign-in", api.url)).body(format!("key={key}"));
        let reply = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(reply.status(), 303);
        let kept = reply.headers()["set-cookie"].to_str().unwrap();
        Self(client, kept.split(';').next().unwrap().to_owned())
    }

    async fn page(&self, api: &Api, path: &str) -> (u16, String) {
        let request = self.0.get(format!("{}{path}", api.url)).header("cookie", &self.1);
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }
}

#[tokio::test]
async fn the_dashboard_shows_a_viewer_readonly_what_is_theirs_and_says_what_is_not() {
    let api = Api::start().await;
    let (acme, editor, asks_only) = site(&api).await;
    assert_eq!(acme.upload_text("secret.md", "Zanzibar").await.status, 202);
    let browser = Browser::sign_in(&api, &asks_only).await;
    for path in ["/t/acme", "/t/acme/jobs", "/t/acme/dead-letters", "/t/acme/quarantine", "/t/acme/usage"] {
        let (status, text) = browser.page(&api, path).await;
        assert_eq!(status, 200, "{path}: {text}");
        for hidden in ["secret.md", "/t/acme/batches", ">Pause<", "/t/acme/audit"] {
            assert!(!text.contains(hidden), "{path} shows {hidden}");
        }
    }
    let (status, text) = browser.page(&api, "/t/acme/kbs").await;
    assert_eq!(status, 200);
    assert!(text.contains("These credentials ask questions") && !text.contains("operator's key"), "{text}");
    let (status, text) = browser.page(&api, "/t/acme/kbs/default").await;
    assert_eq!(status, 403);
    assert!(text.contains("this needs the permission document:read"), "{text}");
    let editor = Browser::sign_in(&api, &editor).await;
    let (status, text) = editor.page(&api, "/t/acme/kbs").await;
    assert!(
        status == 200 && text.contains("/t/acme/kbs/default") && text.contains("/t/acme/batches"),
        "{text}"
    );
}
