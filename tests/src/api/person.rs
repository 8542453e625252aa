use api_thin::accounts::Passwords;
use chrono::{DateTime, Utc};
use jobs::clock::Clock as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stores::TenantStores;
use stores::model::{Acceptance, Accepted, MemberAdded, User};

use super::bed::Api;
use super::reply::{Reply, send};
use super::tenant::ApiTenant;

/// The password of every user here.
pub const PASSWORD: &str = "correct horse battery staple";

impl ApiTenant {
    /// Makes a person a member without an invitation, as the operator may: `product:ann` is whom [`Claims`] name.
    ///
    /// [`Claims`]: super::Claims
    ///
    /// # Panics
    /// When the catalog refuses.
    pub async fn member(&self, api: &Api, identity: &str, role: &str) {
        let identity = identity.parse().expect("a test names a valid identity");
        let role = role.parse().expect("a test names a valid role");
        let added = self.stores.catalog().member_insert(&identity, role, None, api.clock.now(), None).await;
        assert!(matches!(added, Ok(MemberAdded::New(_))), "{added:?}");
    }

    /// Makes a user who is its ADMIN.
    ///
    /// # Panics
    /// When the catalog refuses.
    pub async fn founder(&self, api: &Api, name: &str) {
        found(&self.stores, name, api.clock.now()).await;
    }
}

/// Makes a user with [`PASSWORD`] who is an ADMIN of the tenant.
pub(crate) async fn found(stores: &TenantStores, name: &str, now: DateTime<Utc>) {
    let password_hash = Passwords::default().hash(PASSWORD.into()).await.expect("a hash");
    let user = User { name: name.parse().expect("a user name"), password_hash };
    let founding = Acceptance { founder: Some(user), ..Acceptance::default() };
    let accepted = stores.catalog().accept(&founding, now).await;
    assert_eq!(accepted.expect("the catalog answers"), Accepted::New);
}

impl Api {
    /// Logs in with [`PASSWORD`].
    pub async fn log_in(&self, name: &str) -> Reply {
        self.log_in_with(&json!({ "username": name, "password": PASSWORD })).await
    }

    /// Logs in with anything.
    pub async fn log_in_with(&self, body: &Value) -> Reply {
        self.post("/api/v1/auth/login", body).await
    }

    /// The answer of `/auth/me` to the holder of a token.
    pub async fn me(&self, token: &str) -> Reply {
        send(self.bearer(Method::GET, "/api/v1/auth/me", token)).await
    }

    /// A request with a token.
    pub fn bearer(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(token)
    }
}
