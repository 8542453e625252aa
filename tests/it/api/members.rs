use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

async fn add(tenant: &ApiTenant, subject: &str, role: &str) -> Reply {
    tenant.post("/members", &json!({ "subject": subject, "role": role })).await
}

async fn patch(tenant: &ApiTenant, subject: &str, role: &str) -> Reply {
    let path = format!("/members/{subject}");
    send(tenant.request(Method::PATCH, &path).json(&json!({ "role": role }))).await
}

async fn remove(tenant: &ApiTenant, subject: &str) -> Reply {
    send(tenant.request(Method::DELETE, &format!("/members/{subject}"))).await
}

fn subjects(page: &Value) -> Vec<&str> {
    page["members"].as_array().unwrap().iter().map(|member| member["subject"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn members_are_added_listed_changed_and_removed() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let added = add(&acme, "Ann@Example.com", "EDITOR").await;
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(added.header("location"), "/api/v1/tenants/acme/members/ann@example.com");
    for (name, role) in [("dan", "VIEWER"), ("bob", "ADMIN"), ("cid", "VIEWER")] {
        assert_eq!(add(&acme, name, role).await.status, 201);
    }
    let page = acme.get("/members?limit=3").await.body();
    assert_eq!(subjects(&page), ["ann@example.com", "bob", "cid"]);
    let next = page["next"].as_str().unwrap();
    let last = acme.get(&format!("/members?limit=3&after={next}")).await.body();
    assert_eq!((subjects(&last), &last["next"]), (vec!["dan"], &Value::Null));
    assert_eq!(subjects(&acme.get("/members?role=VIEWER").await.body()), ["cid", "dan"]);

    assert_eq!(patch(&acme, "dan", "EDITOR").await.text("/role"), "EDITOR");
    assert_eq!(acme.get("/members/dan").await.text("/role"), "EDITOR");
    assert_eq!(remove(&acme, "dan").await.status, 204);
    for gone in
        [acme.get("/members/dan").await, patch(&acme, "dan", "VIEWER").await, remove(&acme, "dan").await]
    {
        problem(&gone, 404, "not_found");
    }
    assert_eq!(subjects(&acme.get("/members").await.body()).len(), 3);
    assert_eq!(add(&acme, "dan", "VIEWER").await.status, 201, "who was removed may come back");
}

#[tokio::test]
async fn a_change_is_made_only_to_what_the_caller_saw() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let first = add(&acme, "ann", "VIEWER").await.header("etag").to_owned();
    let with = async |method: Method, tag: &str| {
        let request = acme.request(method.clone(), "/members/ann").header("if-match", tag);
        send(if method == Method::PATCH { request.json(&json!({ "role": "EDITOR" })) } else { request }).await
    };
    let changed = with(Method::PATCH, &first).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let second = changed.header("etag").to_owned();
    assert_ne!(first, second);
    assert_eq!(acme.get("/members/ann").await.header("etag"), second);
    let before = Written::of(&api, &acme).await;
    for stale in [first.as_str(), &format!("W/{second}"), "nonsense"] {
        problem(&with(Method::PATCH, stale).await, 412, "precondition_failed");
        problem(&with(Method::DELETE, stale).await, 412, "precondition_failed");
    }
    assert_eq!(Written::of(&api, &acme).await, before);
    assert_eq!(with(Method::PATCH, "*").await.status, 200);
    let both = format!("{second}, {}", acme.get("/members/ann").await.header("etag"));
    assert_eq!(with(Method::DELETE, &both).await.status, 204);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    add(&acme, "ann", "ADMIN").await;
    problem(&remove(&acme, "ann").await, 409, "last_admin");
    problem(&patch(&acme, "ann", "EDITOR").await, 409, "last_admin");
    for round in 0..4 {
        let other = format!("bob-{round}");
        add(&acme, &other, "ADMIN").await;
        let admins = acme.get("/members?role=ADMIN").await.body();
        let [one, two] = subjects(&admins)[..] else { panic!("{admins}") };
        let (first, second) = tokio::join!(remove(&acme, one), patch(&acme, two, "VIEWER"));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert!(statuses == [200, 409] || statuses == [204, 409], "{first:?} {second:?}");
        assert_eq!(subjects(&acme.get("/members?role=ADMIN").await.body()).len(), 1);
    }
}

#[tokio::test]
async fn a_change_of_role_and_a_removal_count_at_once() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    add(&acme, "ann", "EDITOR").await;
    let token = Claims::of("acme", "ADMIN").token();
    let reindex =
        async || send(acme.anonymous(Method::POST, "/kbs/default/reindex").bearer_auth(&token)).await;
    let read = async || send(acme.anonymous(Method::GET, "/kbs").bearer_auth(&token)).await;
    assert_eq!(reindex().await.status, 202);
    let members = send(acme.anonymous(Method::GET, "/members").bearer_auth(&token)).await;
    problem(&members, 403, "forbidden");
    assert_eq!(members.body()["permission"], "tenant:manage_members");
    patch(&acme, "ann", "VIEWER").await;
    problem(&reindex().await, 403, "forbidden");
    assert_eq!(read().await.status, 200);
    remove(&acme, "ann").await;
    problem(&read().await, 403, "forbidden");
}

#[tokio::test]
async fn what_cannot_be_a_member_is_refused_and_leaves_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    add(&acme, "ann", "VIEWER").await;
    let before = Written::of(&api, &acme).await;
    let long = "a".repeat(129);
    for subject in ["", ".ann", "a b", "a/b", "аnn", "ann'; drop table members;--", "$ne", "a\u{0}", &long] {
        let reply = add(&acme, subject, "VIEWER").await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], "subject", "{subject:?}");
    }
    for role in ["", "ROOT", "admin", "OPERATOR"] {
        let reply = add(&acme, "bob", role).await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], "role", "{role:?}");
        problem(&patch(&acme, "ann", role).await, 400, "invalid_field");
    }
    problem(&add(&acme, "ANN", "ADMIN").await, 409, "member_exists");
    for (body, code) in [
        (json!({ "subject": "bob" }), "invalid_field"),
        (json!({ "subject": "bob", "role": "VIEWER", "tenant_id": "acme-2" }), "unknown_field"),
        (json!({ "subject": { "$ne": "" }, "role": "VIEWER" }), "invalid_field"),
        (json!({ "subject": "bob", "role": ["ADMIN"] }), "invalid_field"),
    ] {
        problem(&acme.post("/members", &body).await, 400, code);
    }
    let twice = acme.request(Method::POST, "/members").header("content-type", "application/json");
    let twice = twice.body(r#"{"subject": "bob", "role": "VIEWER", "role": "ADMIN"}"#);
    problem(&send(twice).await, 400, "invalid_field");
    for query in ["role=ROOT", "after=a%20b", "limit=0", "limit=1001", "name=ann"] {
        problem(&acme.get(&format!("/members?{query}")).await, 400, "invalid_query");
    }
    problem(&acme.get("/members/%24ne").await, 404, "not_found");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn another_tenants_members_are_not_there() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    add(&twin, "ann", "ADMIN").await;
    add(&acme, "ann", "VIEWER").await;
    add(&twin, "secret", "ADMIN").await;
    let before = Written::of(&api, &twin).await;
    let nowhere = acme.get("/members/nobody").await;
    assert_eq!(acme.get("/members/secret").await.bytes, nowhere.bytes);
    for (method, path) in [
        (Method::GET, "/members"),
        (Method::GET, "/members/secret"),
        (Method::DELETE, "/members/secret"),
        (Method::DELETE, "/members/nobody"),
    ] {
        let reply = send(twin.anonymous(method, path).bearer_auth(&acme.key)).await;
        problem(&reply, 403, "tenant_mismatch");
    }
    let foreign = json!({ "subject": "eve", "role": "ADMIN" });
    let reply = send(twin.anonymous(Method::POST, "/members").bearer_auth(&acme.key).json(&foreign)).await;
    problem(&reply, 403, "tenant_mismatch");
    assert_eq!(subjects(&acme.get("/members").await.body()), ["ann"]);
    assert_eq!(Written::of(&api, &twin).await, before);
}

#[tokio::test]
async fn the_operator_and_credentials_for_one_knowledge_base_manage_no_members() {
    let api = Api::start().await;
    api.tenant("acme").await;
    problem(&send(api.operator(Method::GET, "/api/v1/tenants/acme/members")).await, 403, "forbidden");
    let token = Claims { kb_id: Some("default".into()), ..Claims::of("acme", "ADMIN") }.token();
    let reply = send(api.request(Method::GET, "/api/v1/tenants/acme/members").bearer_auth(&token)).await;
    problem(&reply, 403, "forbidden");
}

#[tokio::test]
async fn a_tenant_has_no_more_members_than_its_plan_allows() {
    let plans = jobs::plan::Plans::parse("[plan.standard]\nmembers = 3").unwrap();
    let api = Api::with(ApiOptions { plans, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    let names: Vec<_> = (0..8).map(|number| format!("racing-{number}")).collect();
    let replies = futures::future::join_all(names.iter().map(|name| add(&acme, name, "VIEWER"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 3);
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        problem(refused, 429, "members_limit_reached");
        assert_eq!(refused.body()["maximum"], 3);
    }
    assert_eq!(subjects(&acme.get("/members").await.body()).len(), 3);
}
