//! Tokens of an external issuer, whose keys are read over HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, Issuer, Reply, problem, send};

const DOCUMENTS: &str = "/api/v1/tenants/acme/kbs/default/documents";

/// Whom the issuer calls ann.
const ANN: &str = "issuer:https://id.example.com/#ann";

/// An API that trusts `issuer`, with the tenant acme and its ADMIN ann, and an account ann that belongs to another.
async fn api(issuer: &Issuer) -> Api {
    let api = Api::with(ApiOptions { identity: issuer.trusted(), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    acme.member(&api, ANN, "ADMIN").await;
    api.tenant("other").await.founder(&api, "ann").await;
    api
}

async fn list(api: &Api, token: &str) -> Reply {
    send(api.bearer(Method::GET, DOCUMENTS, token)).await
}

fn rsa(claims: &Value) -> String {
    Issuer::token(Algorithm::RS256, Some("rsa"), claims)
}

#[tokio::test]
async fn tokens_of_the_issuer_are_let_in() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let claims = Issuer::claims("ann", "acme");
    assert_eq!(list(&api, &rsa(&claims)).await.status, 200);
    assert_eq!(list(&api, &Issuer::token(Algorithm::ES256, Some("ec"), &claims)).await.status, 200);
    assert_eq!(list(&api, &Issuer::token(Algorithm::ES256, None, &claims)).await.status, 200, "no kid");
    assert_eq!(issuer.reads(), 1, "the keys are kept");
    let me = api.me(&rsa(&claims)).await;
    assert_eq!((me.text("/actor"), me.text("/role")), (ANN.into(), "ADMIN".into()));
    assert_eq!(me.body()["memberships"].as_array().unwrap().len(), 1, "{me:?}");
}

#[tokio::test]
async fn the_issuer_says_who_and_the_tenant_says_what() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let mut claims = Issuer::claims("ann", "acme");
    claims["role"] = json!("VIEWER");
    let write = json!({ "name": "a.md", "text": "text" });
    let write = api.bearer(Method::POST, "/api/v1/kbs/default/documents/text", &rsa(&claims)).json(&write);
    problem(&send(write).await, 403, "forbidden");
    for (user, tenant) in [("eve", "acme"), ("ann", "nobody"), ("Ann", "acme"), ("ann", "other")] {
        let mut claims = Issuer::claims(user, tenant);
        claims["role"] = json!("ADMIN");
        problem(&list(&api, &rsa(&claims)).await, 403, "no_membership");
    }
}

#[tokio::test]
async fn broken_tokens_of_every_kind_are_401() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let good = Issuer::claims("ann", "acme");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        rsa(&claims)
    };
    let now_s = Api::start_time().timestamp();
    let unsigned = {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT", "kid": "rsa" })), part(&good))
    };
    let confused = {
        // The public key taken for a secret.
        let header = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) };
        encode(&header, &good, &EncodingKey::from_secret(include_bytes!("../../src/api/issuer/rsa.der")))
    };
    let swapped = {
        let (signed, _) = rsa(&with_claims(&good, "sub", "bob")).rsplit_once('.').map(owned).unwrap();
        let (_, signature) = rsa(&good).rsplit_once('.').map(owned).unwrap();
        format!("{signed}.{signature}")
    };
    for (what, token) in [
        ("wrong issuer", with("iss", json!("https://evil.example.com/"))),
        ("no issuer", with("iss", Value::Null)),
        ("wrong audience", with("aud", json!("another"))),
        ("no audience", with("aud", Value::Null)),
        ("expired", with("exp", json!(now_s - 60))),
        ("without end", with("exp", Value::Null)),
        ("not yet valid", with("nbf", json!(now_s + 3_600))),
        ("no user", with("sub", json!(""))),
        ("no tenant", with("tenant_id", Value::Null)),
        ("unsigned", unsigned),
        ("public key as a secret", confused.unwrap()),
        ("claims swapped", swapped),
        ("unknown key", Issuer::token(Algorithm::RS256, Some("other"), &good)),
        ("key of another algorithm", Issuer::token(Algorithm::ES256, Some("rsa"), &good)),
        ("another algorithm", Issuer::token(Algorithm::RS384, Some("rsa"), &good)),
    ] {
        let reply = list(&api, &token).await;
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        problem(&reply, 401, "credentials_invalid");
    }
    assert_eq!(list(&api, &rsa(&good)).await.status, 200, "and the good one is good");
}

fn with_claims(claims: &Value, name: &str, value: &str) -> Value {
    let mut claims = claims.clone();
    claims[name] = json!(value);
    claims
}

fn owned((left, right): (&str, &str)) -> (String, String) {
    (left.to_owned(), right.to_owned())
}

#[tokio::test]
async fn new_keys_are_read_but_not_for_every_token_that_names_one() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let claims = Issuer::claims("ann", "acme");
    assert_eq!(list(&api, &rsa(&claims)).await.status, 200);
    issuer.publish(&[("rsa-2", Algorithm::RS256)]);
    let rotated = Issuer::token(Algorithm::RS256, Some("rsa-2"), &claims);
    for _ in 0..5 {
        assert_eq!(list(&api, &rotated).await.status, 401, "read a moment ago");
    }
    assert_eq!(issuer.reads(), 1);
    api.clock.advance(Duration::from_secs(31));
    assert_eq!(list(&api, &rotated).await.status, 200);
    assert_eq!(list(&api, &rsa(&claims)).await.status, 401, "the old key was taken back");
    assert_eq!(issuer.reads(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_a_503_only_until_its_keys_were_read() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let token = rsa(&Issuer::claims("ann", "acme"));
    issuer.fail();
    problem(&list(&api, &token).await, 503, "unavailable");
    issuer.publish(&[("rsa", Algorithm::RS256)]);
    api.clock.advance(Duration::from_secs(31));
    assert_eq!(list(&api, &token).await.status, 200);
    issuer.fail();
    api.clock.advance(Duration::from_secs(3_000));
    assert_eq!(list(&api, &token).await.status, 200);
}
