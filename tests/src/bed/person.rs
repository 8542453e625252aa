use jobs::tenant::TenantContext;
use serde_json::json;

use super::http::Http;
use super::system::Bed;
use super::tenant::TestTenant;
use crate::api::{PASSWORD, found};

impl Bed {
    /// Makes a user who is an ADMIN of the tenant, and logs them in. The client has their token.
    ///
    /// # Panics
    /// When the log-in is refused.
    pub async fn admin(&self, tenant: &TestTenant, name: &str) -> Http {
        let stores = self.stores().scoped(&TenantContext::for_tests(&tenant.id));
        found(&stores, name, self.now()).await;
        let log_in = json!({ "username": name, "password": PASSWORD });
        let answer = Http::new(&self.url(), "nobody").post("/api/v1/auth/login", &log_in).await;
        let token = answer.body["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        Http::new(&self.url(), token)
    }
}
