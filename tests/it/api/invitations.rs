//! A membership is offered, and only the person who accepts it becomes a member.

use std::time::Duration;

use api_thin::IdentityConfig;
use api_thin::config::{AccountRules, Switch};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Issuer, PASSWORD, Reply, Written, problem, send};

/// One where signing up is on.
async fn api(issuer: &Issuer) -> Api {
    let rules = AccountRules {
        sign_up: Switch::On,
        super_admins: ["local:root".parse().unwrap()].into(),
        ..AccountRules::default()
    };
    let identity = IdentityConfig { rules, ..issuer.trusted() };
    Api::with(ApiOptions { identity, ..ApiOptions::default() }).await
}

async fn invite(tenant: &ApiTenant, subject: &str, role: &str) -> Reply {
    tenant.post("/members", &json!({ "subject": subject, "role": role })).await
}

async fn secret(tenant: &ApiTenant, subject: &str, role: &str) -> String {
    let reply = invite(tenant, subject, role).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.text("/invitation")
}

async fn accept(api: &Api, token: Option<&str>, body: &Value) -> Reply {
    let request = api.request(Method::POST, "/api/v1/auth/accept-invitation").json(body);
    send(token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)).await
}

/// As the person of a token.
async fn accept_as(api: &Api, token: &str, secret: &str) -> Reply {
    accept(api, Some(token), &json!({ "invitation": secret })).await
}

/// With an account.
async fn accept_with(api: &Api, name: &str, password: &str, secret: &str) -> Reply {
    let body = json!({ "invitation": secret, "username": name, "password": password });
    accept(api, None, &body).await
}

async fn sign_up(api: &Api, tenant: &str, name: &str) -> Reply {
    let body = json!({ "tenant_id": tenant, "name": "X", "username": name, "password": PASSWORD });
    api.post("/api/v1/signup", &body).await
}

async fn log_in_to(api: &Api, name: &str, tenant: &str) -> Reply {
    api.log_in_with(&json!({ "username": name, "password": PASSWORD, "tenant_id": tenant })).await
}

async fn members(tenant: &ApiTenant) -> Vec<String> {
    let listed = tenant.get("/members").await.body();
    let members = listed["members"].as_array().unwrap();
    members.iter().map(|member| member["identity"].as_str().unwrap().to_owned()).collect()
}

/// Goal: a stranger who takes an invited name gains nothing.
/// Method: an ADMIN invites `ann@example.com`; accounts and tokens of that name come from everywhere else, before and
/// after.
#[tokio::test]
async fn a_name_that_was_invited_is_not_for_the_taking() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let acme = api.tenant("acme").await;
    let name = "ann@example.com";
    let secret = secret(&acme, name, "ADMIN").await;
    assert_eq!(sign_up(&api, "evil", name).await.status, 202);
    problem(&log_in_to(&api, name, "acme").await, 403, "no_membership");
    let product = Claims { sub: name.into(), ..Claims::of("acme", "ADMIN") }.token();
    let issued = Issuer::token(jsonwebtoken::Algorithm::RS256, Some("rsa"), &Issuer::claims(name, "acme"));
    for token in [&product, &issued] {
        let list = send(api.bearer(Method::GET, "/api/v1/tenants/acme/kbs/default/documents", token)).await;
        problem(&list, 403, "no_membership");
    }
    let evil = api.log_in(name).await;
    assert_eq!(evil.text("/tenant_id"), "evil");
    let me = api.me(&evil.text("/access_token")).await.body();
    assert_eq!(me["memberships"].as_array().unwrap().len(), 1, "{me}");
    assert_eq!(members(&acme).await, Vec::<String>::new());

    // The receiver is the holder of the secret, under any name.
    let joined = accept_with(&api, "ann", PASSWORD, &secret).await;
    assert_eq!((joined.status, joined.text("/identity")), (200, "local:ann".into()), "{joined:?}");
    assert_eq!(log_in_to(&api, "ann", "acme").await.text("/role"), "ADMIN");
    problem(&log_in_to(&api, name, "acme").await, 403, "no_membership");
    assert_eq!(members(&acme).await, ["local:ann"]);
}

/// Goal: a tenant that invites a person changes nothing about how they log in, until they accept.
#[tokio::test]
async fn an_invitation_changes_nothing_for_others() {
    let api = api(&Issuer::start().await).await;
    assert_eq!(sign_up(&api, "victimco", "victim").await.status, 202);
    let evil = api.tenant("evil").await;
    let secret = secret(&evil, "victim", "VIEWER").await;
    let before = api.log_in("victim").await;
    assert_eq!(before.text("/tenant_id"), "victimco");
    assert_eq!(
        api.me(&before.text("/access_token")).await.body()["memberships"].as_array().unwrap().len(),
        1
    );
    let joined = accept_as(&api, &before.text("/access_token"), &secret).await;
    assert_eq!((joined.status, joined.text("/tenant_id")), (200, "evil".into()));
    problem(&api.log_in("victim").await, 400, "tenant_required");
    assert_eq!(log_in_to(&api, "victim", "victimco").await.text("/role"), "ADMIN");
    assert_eq!(log_in_to(&api, "victim", "evil").await.text("/role"), "VIEWER");
}

#[tokio::test]
async fn people_of_every_kind_accept() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let acme = api.tenant("acme").await;
    // The tokens name no tenant yet, or another.
    let mut claims = Issuer::claims("Ann", "elsewhere");
    claims["tenant_id"] = Value::Null;
    let issued = Issuer::token(jsonwebtoken::Algorithm::ES256, Some("ec"), &claims);
    let product = Claims { sub: "Ann".into(), ..Claims::of("elsewhere", "VIEWER") }.token();
    sign_up(&api, "annco", "ann").await;
    let local = api.log_in("ann").await.text("/access_token");
    for (token, identity) in
        [(&issued, "issuer:https://id.example.com/#Ann"), (&product, "product:Ann"), (&local, "local:ann")]
    {
        let joined = accept_as(&api, token, &secret(&acme, "ann", "EDITOR").await).await;
        let expected = json!({ "identity": identity, "tenant_id": "acme", "role": "EDITOR" });
        assert_eq!((joined.status, joined.body()), (200, expected));
    }
    let joined = accept_with(&api, "Bob", PASSWORD, &secret(&acme, "bob", "VIEWER").await).await;
    assert_eq!(joined.text("/identity"), "local:bob");
    assert_eq!(api.log_in("bob").await.text("/tenant_id"), "acme");
    let mut expected = vec!["issuer:https://id.example.com/#Ann", "local:ann", "local:bob", "product:Ann"];
    expected.sort_unstable();
    assert_eq!(members(&acme).await, expected);
    let listed = acme.get("/invitations").await.body();
    assert_eq!(listed["invitations"], json!([]), "each is used up");

    // It counts at once, in the tenant that it is for.
    let list = |claims: &Claims| {
        api.bearer(Method::GET, "/api/v1/tenants/acme/kbs/default/documents", &claims.token())
    };
    let member = Claims { sub: "Ann".into(), ..Claims::of("acme", "ADMIN") };
    assert_eq!(send(list(&member)).await.status, 200);
    problem(&send(list(&Claims { sub: "ann".into(), ..member })).await, 403, "no_membership");
}

#[tokio::test]
async fn an_invitation_that_is_not_open_gets_one_answer_whatever_is_wrong_with_it() {
    let api = api(&Issuer::start().await).await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let good = secret(&acme, "good", "VIEWER").await;
    let (head, tail) = good.rsplit_once('_').unwrap();
    let used = secret(&acme, "used", "VIEWER").await;
    assert_eq!(accept_with(&api, "used", PASSWORD, &used).await.status, 200);
    let withdrawn = invite(&acme, "withdrawn", "VIEWER").await;
    let path = format!("/invitations/{}", withdrawn.text("/id"));
    assert_eq!(send(acme.request(Method::DELETE, &path)).await.status, 204);
    problem(&send(acme.request(Method::DELETE, &path)).await, 404, "not_found");
    let body = json!({ "subject": "expired", "role": "VIEWER", "expires_in_s": 60 });
    let expired = acme.post("/members", &body).await.text("/invitation");
    let from_key = {
        let key = acme.post("/api-keys", &json!({ "name": "k", "role": "ADMIN" })).await;
        let new = acme.anonymous(Method::POST, "/members").bearer_auth(key.text("/api_key"));
        let reply = send(new.json(&json!({ "subject": "key", "role": "VIEWER" }))).await;
        let path = format!("/api-keys/{}", key.text("/id"));
        assert_eq!(send(acme.request(Method::DELETE, &path)).await.status, 204);
        reply.text("/invitation")
    };
    api.clock.advance(Duration::from_secs(60));
    let unknown = accept_with(&api, "eve", PASSWORD, "inv_guess").await;
    problem(&unknown, 404, "invitation_invalid");
    let before = (Written::of(&api, &acme).await, Written::of(&api, &twin).await);
    for (what, secret) in [
        ("nonsense", "nonsense".to_owned()),
        ("empty", String::new()),
        ("wrong secret", format!("{head}_{}", "0".repeat(64))),
        ("half of it", head.to_owned()),
        ("another tenant's", good.replace("inv_acme_", "inv_acme-2_")),
        ("no tenant's", good.replace("inv_acme_", "inv_nowhere_")),
        ("unknown", format!("inv_acme_{}_{tail}", uuid::Uuid::now_v7().simple())),
        ("used", used),
        ("withdrawn", withdrawn.text("/invitation")),
        ("expired", expired),
        ("its maker may not invite any more", from_key),
    ] {
        let reply = accept_with(&api, "eve", PASSWORD, &secret).await;
        assert_eq!((reply.status, &reply.bytes), (404, &unknown.bytes), "{what}: {reply:?}");
        let token = Claims { sub: "eve".into(), ..Claims::of("acme", "ADMIN") }.token();
        assert_eq!(accept_as(&api, &token, &secret).await.bytes, unknown.bytes, "{what}");
    }
    assert_eq!((Written::of(&api, &acme).await, Written::of(&api, &twin).await), before);
    problem(&api.log_in("eve").await, 401, "login_failed");
    assert_eq!(accept_with(&api, "good", PASSWORD, &good).await.status, 200);
}

#[tokio::test]
async fn one_of_many_at_once_is_accepted() {
    let api = api(&Issuer::start().await).await;
    let acme = api.tenant("acme").await;
    let secret = secret(&acme, "ann", "ADMIN").await;
    let people: Vec<_> = (0..8).map(|number| format!("ann-{number}")).collect();
    let tokens = people.iter().map(|sub| Claims { sub: sub.clone(), ..Claims::of("acme", "ADMIN") }.token());
    let tokens: Vec<_> = tokens.collect();
    let replies = join_all(tokens.iter().map(|token| accept_as(&api, token, &secret))).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(members(&acme).await.len(), 1);
}

#[tokio::test]
async fn an_account_that_is_there_takes_its_password() {
    let api = api(&Issuer::start().await).await;
    let acme = api.tenant("acme").await;
    sign_up(&api, "annco", "ann").await;
    let secret = secret(&acme, "ann", "ADMIN").await;
    for _ in 0..5 {
        problem(&accept_with(&api, "ann", "wrong horse", &secret).await, 401, "login_failed");
    }
    // The same lock as at log-in, in both directions.
    problem(&accept_with(&api, "ann", PASSWORD, &secret).await, 429, "too_many_attempts");
    problem(&api.log_in("ann").await, 429, "too_many_attempts");
    api.clock.advance(Duration::from_secs(30));
    assert_eq!(accept_with(&api, "ANN", PASSWORD, &secret).await.text("/identity"), "local:ann");

    let other = self::secret(&acme, "bob", "VIEWER").await;
    problem(&accept_with(&api, "ann", PASSWORD, &other).await, 409, "member_exists");
    problem(&accept_with(&api, "root", PASSWORD, &other).await, 409, "user_exists");
    for (name, password, field) in
        [("a b", PASSWORD, "username"), ("", PASSWORD, "username"), ("bob", "short", "password")]
    {
        let refused = accept_with(&api, name, password, &other).await;
        problem(&refused, 400, "invalid_field");
        assert_eq!(refused.text("/field"), field);
    }
    let without = accept(&api, None, &json!({ "invitation": other })).await;
    problem(&without, 401, "credentials_missing");
    let half = accept(&api, None, &json!({ "invitation": other, "username": "bob" })).await;
    problem(&half, 401, "credentials_missing");
    let token =
        api.log_in_with(&json!({ "username": "ann", "password": PASSWORD, "tenant_id": "acme" })).await;
    let both = json!({ "invitation": other, "username": "bob", "password": PASSWORD });
    problem(&accept(&api, Some(&token.text("/access_token")), &both).await, 400, "invalid_field");
    problem(&accept_as(&api, &acme.key, &other).await, 403, "forbidden");
    problem(&accept_as(&api, "a.b.c", &other).await, 401, "credentials_invalid");
    assert_eq!(accept_with(&api, "bob", PASSWORD, &other).await.status, 200, "none of that used it up");
}

#[tokio::test]
async fn invitations_are_listed_without_their_secrets_and_bounded() {
    let plans = jobs::plan::Plans::parse("[plan.standard]\nmembers = 3").unwrap();
    let api = Api::with(ApiOptions { plans, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    let made = invite(&acme, "Ann@Example.com", "EDITOR").await;
    assert_eq!(made.status, 201, "{made:?}");
    let location = made.header("location").to_owned();
    assert_eq!(location, format!("/api/v1/tenants/acme/invitations/{}", made.text("/id")));
    assert_eq!(made.header("cache-control"), "no-store");
    let shown = acme.get(&format!("/invitations/{}", made.text("/id"))).await.body();
    let mut expected = made.body();
    expected.as_object_mut().unwrap().remove("invitation");
    assert_eq!(shown, expected);
    assert_eq!(shown["subject"], "ann@example.com");
    assert_eq!(acme.get("/invitations").await.body(), json!({ "invitations": [shown], "next": null }));
    assert_eq!(members(&acme).await, Vec::<String>::new());
    problem(&invite(&acme, "ANN@example.com", "VIEWER").await, 409, "invitation_exists");

    let names: Vec<_> = (0..8).map(|number| format!("racing-{number}")).collect();
    let replies = join_all(names.iter().map(|name| invite(&acme, name, "VIEWER"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 2);
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        problem(refused, 429, "members_limit_reached");
        assert_eq!(refused.body()["maximum"], 3);
    }
    assert_eq!(acme.get("/usage").await.body()["quotas"]["members"]["current"], 3);
    assert_eq!(accept_with(&api, "ann", PASSWORD, &made.text("/invitation")).await.status, 200);
    assert_eq!(acme.get("/usage").await.body()["quotas"]["members"]["current"], 3);
    api.clock.advance(Duration::from_secs(7 * 24 * 3_600));
    assert_eq!(acme.get("/usage").await.body()["quotas"]["members"]["current"], 1, "they have expired");
    assert_eq!(acme.get("/invitations").await.body()["invitations"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_an_invitation_is_refused_and_leaves_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let before = Written::of(&api, &acme).await;
    let long = "a".repeat(129);
    for subject in ["", ".ann", "a b", "a/b", "аnn", "ann'; drop table members;--", "$ne", "a\u{0}", &long] {
        let reply = invite(&acme, subject, "VIEWER").await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], "subject", "{subject:?}");
    }
    for (body, code) in [
        (json!({ "subject": "bob" }), "invalid_field"),
        (json!({ "subject": "bob", "role": "ROOT" }), "invalid_field"),
        (json!({ "subject": "bob", "role": "VIEWER", "tenant_id": "acme-2" }), "unknown_field"),
        (json!({ "subject": { "$ne": "" }, "role": "VIEWER" }), "invalid_field"),
        (json!({ "subject": "bob", "role": "VIEWER", "expires_in_s": 59 }), "invalid_field"),
        (json!({ "subject": "bob", "role": "VIEWER", "expires_in_s": 2_592_001 }), "invalid_field"),
        (json!({ "subject": "bob", "role": "VIEWER", "expires_in_s": -1 }), "invalid_field"),
    ] {
        problem(&acme.post("/members", &body).await, 400, code);
    }
    let both = json!({ "subject": "bob", "user_id": "ann", "role": "VIEWER" });
    problem(&acme.post("/members", &both).await, 400, "invalid_field");
    for path in ["/invitations/%24ne", "/invitations/0190b5a8-7c00-7000-8000-000000000000"] {
        problem(&acme.get(path).await, 404, "not_found");
        problem(&send(acme.request(Method::DELETE, path)).await, 404, "not_found");
    }
    problem(&acme.get("/invitations?after=x").await, 400, "invalid_query");
    assert_eq!(Written::of(&api, &acme).await, before);
}
