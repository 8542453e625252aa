//! `worker users import`: users from elsewhere log in with the passwords that they had.

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, PASSWORD, problem, send};
use worker::users::{Import, InvalidUsers, Refused, UsersFile};

use api_thin::accounts::Passwords;
use jobs::clock::Clock as _;
use jobs::tenant::Role;

async fn import(api: &Api, users: &Value) -> Result<Vec<String>, Refused> {
    let file = UsersFile::read(users.to_string().as_bytes()).unwrap();
    Import { opened: &api.opened, role: Role::Viewer, now: api.clock.now() }.run(&file).await
}

async fn hash() -> String {
    Passwords::default().hash(PASSWORD.into()).await.unwrap()
}

#[tokio::test]
async fn imported_users_log_in_and_a_second_import_changes_nothing() {
    let api = Api::start().await;
    api.tenant("acme").await;
    api.tenant("other").await;
    let key = format!("tk_acme_imported0_{}", "k".repeat(32));
    let users = json!([
        { "username": "Ann", "password_hash": hash().await, "workspace": "acme", "api_key": key },
        { "username": "bob", "password_hash": hash().await, "workspace": "", "api_key": "sk-123" },
    ]);
    let said = import(&api, &users).await.unwrap();
    assert_eq!(
        said,
        [
            "ann: made, is VIEWER of acme now, has its API key of acme",
            "bob: made, its api_key is not tk_… and was left out: make a new one",
        ]
    );
    let reply = api.log_in("ann").await;
    assert_eq!((reply.text("/tenant_id"), reply.text("/role")), ("acme".into(), "VIEWER".into()));
    problem(&api.log_in("bob").await, 403, "no_membership");
    let list = api.bearer(Method::GET, "/api/v1/tenants/acme/kbs/default/documents", &key);
    assert_eq!(send(list).await.status, 200);
    let said = import(&api, &users).await.unwrap();
    assert_eq!(said[0], "ann: was there");
    assert_eq!(api.me(&reply.text("/access_token")).await.status, 200);

    // A member of two tenants has to say which is meant; another password ends the sessions.
    let moved = json!([{ "username": "ann", "password_hash": hash().await, "workspace": "other" }]);
    let said = import(&api, &moved).await.unwrap();
    assert_eq!(said, ["ann: has another password, its sessions have ended, is VIEWER of other now"]);
    let which = api.log_in("ann").await;
    problem(&which, 400, "tenant_required");
    assert!(which.text("/detail").ends_with(": acme, other"), "{which:?}");
    let named = json!({ "username": "ann", "password": PASSWORD, "tenant_id": "other" });
    assert_eq!(api.log_in_with(&named).await.text("/tenant_id"), "other");
}

#[tokio::test]
async fn one_bad_entry_and_none_is_taken() {
    let api = Api::start().await;
    api.tenant("acme").await;
    let (good, hash) = (json!({ "username": "ann", "password_hash": hash().await }), hash().await);
    let nowhere = json!([good, { "username": "bob", "password_hash": hash, "workspace": "nowhere" }]);
    assert!(matches!(import(&api, &nowhere).await, Err(Refused::NoTenant(..))));
    problem(&api.log_in("ann").await, 401, "login_failed");
    for bad in [
        json!({ "username": "a b", "password_hash": hash }),
        json!({ "username": "bob", "password_hash": "plain" }),
        json!({ "username": "bob", "password_hash": "$2b$12$abcdefghijklmnopqrstuv" }),
        json!({ "username": "bob", "password_hash": hash, "workspace": "NO LABEL" }),
        json!({ "username": "bob", "password_hash": hash, "api_key": "tk_acme_imported0_x" }),
        json!({ "username": "ANN", "password_hash": hash }),
    ] {
        let refused = UsersFile::read(json!([good, bad]).to_string().as_bytes());
        assert!(matches!(refused, Err(InvalidUsers::Entry { number: 2, .. })), "{bad}");
    }
    let unknown = json!([{ "username": "bob", "password_hash": hash, "role": "ADMIN" }]);
    assert!(matches!(UsersFile::read(unknown.to_string().as_bytes()), Err(InvalidUsers::Json(_))));
}
