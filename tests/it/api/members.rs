use api_thin::IdentityConfig;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

/// The operator makes whom the product calls so a member.
async fn add(api: &Api, tenant: &ApiTenant, subject: &str, role: &str) -> Reply {
    put(api, tenant, &format!("product:{subject}"), &json!({ "role": role })).await
}

async fn put(api: &Api, tenant: &ApiTenant, identity: &str, body: &Value) -> Reply {
    let path = format!("/api/v1/tenants/{}/members/{identity}", tenant.id);
    send(api.operator(Method::PUT, &path).json(body)).await
}

async fn patch(tenant: &ApiTenant, subject: &str, role: &str) -> Reply {
    let path = format!("/members/product:{subject}");
    send(tenant.request(Method::PATCH, &path).json(&json!({ "role": role }))).await
}

async fn remove(tenant: &ApiTenant, subject: &str) -> Reply {
    send(tenant.request(Method::DELETE, &format!("/members/product:{subject}"))).await
}

fn subjects(page: &Value) -> Vec<&str> {
    page["members"].as_array().unwrap().iter().map(|member| member["subject"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn members_are_added_listed_changed_and_removed() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for (name, role) in
        [("ann@example.com", "EDITOR"), ("dan", "VIEWER"), ("bob", "ADMIN"), ("cid", "VIEWER")]
    {
        let added = add(&api, &acme, name, role).await;
        assert_eq!((added.status, added.text("/identity")), (200, format!("product:{name}")), "{added:?}");
    }
    let page = acme.get("/members?limit=3").await.body();
    assert_eq!(subjects(&page), ["ann@example.com", "bob", "cid"]);
    let next = page["next"].as_str().unwrap();
    let last = acme.get(&format!("/members?limit=3&after={next}")).await.body();
    assert_eq!((subjects(&last), &last["next"]), (vec!["dan"], &Value::Null));
    assert_eq!(subjects(&acme.get("/members?role=VIEWER").await.body()), ["cid", "dan"]);

    assert_eq!(patch(&acme, "dan", "EDITOR").await.text("/role"), "EDITOR");
    assert_eq!(acme.get("/members/product:dan").await.text("/role"), "EDITOR");
    assert_eq!(add(&api, &acme, "dan", "VIEWER").await.text("/role"), "VIEWER", "the same as PATCH");
    assert_eq!(remove(&acme, "dan").await.status, 204);
    for gone in [
        acme.get("/members/product:dan").await,
        patch(&acme, "dan", "VIEWER").await,
        remove(&acme, "dan").await,
    ] {
        problem(&gone, 404, "not_found");
    }
    assert_eq!(subjects(&acme.get("/members").await.body()).len(), 3);
    assert_eq!(add(&api, &acme, "dan", "VIEWER").await.status, 200, "who was removed may come back");
}

/// One name from several providers is several members.
#[tokio::test]
async fn a_member_is_an_identity_and_a_bare_name_only_while_that_is_clear() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    // For a missing account the membership would go to the first person who takes the name.
    problem(&put(&api, &acme, "local:ann", &json!({ "role": "VIEWER" })).await, 404, "not_found");
    api.tenant("other").await.founder(&api, "ann").await;
    let issued = "issuer:https:%2F%2Fid.example.com%2F%23Ann";
    for (identity, role) in [("local:ann", "VIEWER"), ("product:ann", "EDITOR"), (issued, "ADMIN")] {
        let added = put(&api, &acme, identity, &json!({ "role": role })).await;
        assert_eq!((added.status, added.text("/role").as_str()), (200, role), "{identity}: {added:?}");
        assert_eq!(acme.get(&format!("/members/{identity}")).await.text("/role"), role, "{identity}");
    }
    let listed = acme.get("/members").await.body();
    let identities: Vec<_> =
        listed["members"].as_array().unwrap().iter().map(|member| &member["identity"]).collect();
    assert_eq!(identities, ["issuer:https://id.example.com/#Ann", "local:ann", "product:ann"]);
    assert_eq!(subjects(&listed), ["Ann", "ann", "ann"]);
    for wrong in ["local:Ann", "user:ann", "issuer:ann", "product:", "api_key:abcd1234"] {
        problem(&acme.get(&format!("/members/{wrong}")).await, 404, "not_found");
        problem(&put(&api, &acme, wrong, &json!({ "role": "ADMIN" })).await, 404, "not_found");
    }
    // Two have the bare name: a change must not meet the other one.
    problem(&acme.get("/members/ann").await, 400, "invalid_field");
    problem(&put(&api, &acme, "ann", &json!({ "role": "ADMIN" })).await, 400, "invalid_field");
    problem(&send(acme.request(Method::DELETE, "/members/ann")).await, 400, "invalid_field");
    problem(&acme.get("/members/operator").await, 404, "not_found");
    assert_eq!(subjects(&acme.get("/members").await.body()).len(), 3);
}

#[tokio::test]
async fn a_change_is_made_only_to_what_the_caller_saw() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let first = add(&api, &acme, "ann", "VIEWER").await.header("etag").to_owned();
    let with = async |method: Method, tag: &str| {
        let request = acme.request(method.clone(), "/members/product:ann").header("if-match", tag);
        send(if method == Method::PATCH { request.json(&json!({ "role": "EDITOR" })) } else { request }).await
    };
    let changed = with(Method::PATCH, &first).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let second = changed.header("etag").to_owned();
    assert_ne!(first, second);
    assert_eq!(acme.get("/members/product:ann").await.header("etag"), second);
    let before = Written::of(&api, &acme).await;
    for stale in [first.as_str(), &format!("W/{second}"), "nonsense"] {
        problem(&with(Method::PATCH, stale).await, 412, "precondition_failed");
        problem(&with(Method::DELETE, stale).await, 412, "precondition_failed");
    }
    assert_eq!(Written::of(&api, &acme).await, before);
    assert_eq!(with(Method::PATCH, "*").await.status, 200);
    let both = format!("{second}, {}", acme.get("/members/product:ann").await.header("etag"));
    assert_eq!(with(Method::DELETE, &both).await.status, 204);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    add(&api, &acme, "ann", "ADMIN").await;
    problem(&remove(&acme, "ann").await, 409, "last_admin");
    problem(&patch(&acme, "ann", "EDITOR").await, 409, "last_admin");
    problem(&add(&api, &acme, "ann", "EDITOR").await, 409, "last_admin");
    for round in 0..4 {
        let other = format!("bob-{round}");
        add(&api, &acme, &other, "ADMIN").await;
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
    add(&api, &acme, "ann", "EDITOR").await;
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
    problem(&read().await, 403, "no_membership");
}

/// With a token that is signed with the installation's own secret, the product vouches for the person's name; the
/// tenant decides about the membership.
#[tokio::test]
async fn a_signed_token_of_a_stranger_is_refused_unless_the_operator_chose_otherwise() {
    let requests = |api: &Api, token: &str| {
        let upload = json!({ "name": "a.md", "text": "x" });
        [
            api.bearer(Method::GET, "/api/v1/tenants/acme/kbs/default/documents", token),
            api.bearer(Method::POST, "/api/v1/tenants/acme/kbs/default/documents/text", token).json(&upload),
            api.bearer(Method::POST, "/api/v1/tenants/acme/api-keys", token).json(&json!({ "name": "g" })),
            api.bearer(Method::GET, "/api/v1/tenants/acme/jobs", token),
            api.bearer(Method::GET, "/api/v1/auth/me", token),
        ]
    };
    let ghost = Claims { sub: "ghost".into(), ..Claims::of("acme", "ADMIN") }.token();
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    // An account of that name is another person.
    acme.founder(&api, "ghost").await;
    let before = Written::of(&api, &acme).await;
    for request in requests(&api, &ghost) {
        problem(&send(request).await, 403, "no_membership");
    }
    assert_eq!(Written::of(&api, &acme).await, before);

    let identity = IdentityConfig { tokens_without_membership: true, ..IdentityConfig::default() };
    let api = Api::with(ApiOptions { identity, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    for request in requests(&api, &ghost) {
        let reply = send(request).await;
        assert!((200..300).contains(&reply.status), "{reply:?}");
    }
    assert_eq!(api.me(&ghost).await.body()["memberships"], json!([]));
    // A membership counts more than the token, and so does its end.
    acme.member(&api, "product:ghost", "VIEWER").await;
    acme.member(&api, "product:boss", "ADMIN").await;
    assert_eq!(api.me(&ghost).await.text("/role"), "VIEWER");
    remove(&acme, "ghost").await;
    for request in requests(&api, &ghost) {
        problem(&send(request).await, 403, "no_membership");
    }
}

#[tokio::test]
async fn what_cannot_be_a_member_is_refused_and_leaves_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    add(&api, &acme, "ann", "VIEWER").await;
    let before = Written::of(&api, &acme).await;
    for role in ["", "ROOT", " admin", "OPERATOR"] {
        let reply = add(&api, &acme, "bob", role).await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], "role", "{role:?}");
        problem(&patch(&acme, "ann", role).await, 400, "invalid_field");
    }
    for (body, code) in [
        (json!({}), "invalid_field"),
        (json!({ "role": "VIEWER", "tenant_id": "acme-2" }), "unknown_field"),
        (json!({ "role": ["ADMIN"] }), "invalid_field"),
    ] {
        problem(&put(&api, &acme, "product:bob", &body).await, 400, code);
    }
    // Only the operator may vouch for a person who is no member.
    let own = acme.request(Method::PUT, "/members/product:bob").json(&json!({ "role": "VIEWER" }));
    problem(&send(own).await, 404, "not_found");
    for query in ["role=ROOT", "after=ann", "limit=0", "limit=1001", "name=ann"] {
        problem(&acme.get(&format!("/members?{query}")).await, 400, "invalid_query");
    }
    problem(&acme.get("/members/%24ne").await, 404, "not_found");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn another_tenants_members_are_not_there() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    add(&api, &twin, "ann", "ADMIN").await;
    add(&api, &acme, "ann", "VIEWER").await;
    add(&api, &twin, "secret", "ADMIN").await;
    let before = Written::of(&api, &twin).await;
    let nowhere = acme.get("/members/product:nobody").await;
    assert_eq!(acme.get("/members/product:secret").await.bytes, nowhere.bytes);
    for (method, path) in [
        (Method::GET, "/members"),
        (Method::GET, "/members/product:secret"),
        (Method::DELETE, "/members/product:secret"),
        (Method::DELETE, "/members/product:nobody"),
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
    api.tenant("acme").await.member(&api, "product:ann", "ADMIN").await;
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
    let replies = futures::future::join_all(names.iter().map(|name| add(&api, &acme, name, "VIEWER"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 3);
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        problem(refused, 429, "members_limit_reached");
        assert_eq!(refused.body()["maximum"], 3);
    }
    assert_eq!(subjects(&acme.get("/members").await.body()).len(), 3);
}
