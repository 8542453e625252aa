//! `tenantry users import`: users from elsewhere log in with the passwords that they had.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry::users::{Import, InvalidUsers, Refused, Said, UsersFile};
use tests::api::{Api, PASSWORD, problem, send};

use api_thin::accounts::Passwords;
use jobs::clock::Clock as _;
use jobs::plan::Plans;
use jobs::tenant::Role;

async fn import(api: &Api, users: &Value) -> Result<Vec<String>, Refused> {
    let said = import_under(api, &Plans::default(), users).await?;
    Ok(said.into_iter().map(|said| said.line).collect())
}

async fn import_under(api: &Api, plans: &Plans, users: &Value) -> Result<Vec<Said>, Refused> {
    let file = UsersFile::read(users.to_string().as_bytes()).unwrap();
    Import { opened: &api.opened, plans, role: Role::Viewer, now: api.clock.now() }.run(&file).await
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

#[tokio::test]
async fn a_tenant_gets_no_more_members_and_no_second_key_of_a_name() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let plans = Plans::parse("[plan.standard]\nmembers = 2").unwrap();
    assert_eq!(acme.post("/api-keys", &json!({ "name": "bob" })).await.status, 201);
    let hash = hash().await;
    let entry = |name: &str| {
        let key = format!("tk_acme_imported{name}_{}", "k".repeat(32));
        json!({ "username": name, "password_hash": hash, "workspace": "acme", "api_key": key })
    };
    let users = json!([entry("ann"), entry("bob"), entry("eve")]);
    let expected = [
        ("ann: made, is VIEWER of acme now, has its API key of acme", false),
        (
            "bob: made, is VIEWER of acme now, its api_key was left out, because another one of acme is called bob: \
             rename or revoke that one and run it again",
            true,
        ),
        ("eve: made, is no member of acme, which has 2 of 2: make room and run it again", true),
    ];
    let said = import_under(&api, &plans, &users).await.unwrap();
    assert_eq!(said.iter().map(|said| (said.line.as_str(), said.refused)).collect::<Vec<_>>(), expected);
    problem(&api.log_in("eve").await, 403, "no_membership");
    let eves = users[2]["api_key"].as_str().unwrap();
    let list = api.bearer(Method::GET, "/api/v1/tenants/acme/kbs/default/documents", eves);
    problem(&send(list).await, 401, "credentials_invalid");
    // Existing members stay: only users without room are reported again.
    let again = import_under(&api, &plans, &users).await.unwrap();
    assert_eq!(again.iter().map(|said| said.refused).collect::<Vec<_>>(), [false, true, true]);
}
