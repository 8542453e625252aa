use api_thin::auth::ApiKey;
use jobs::clock::Clock as _;
use jobs::tenant::{KbId, Role, TenantContext, TenantStatus};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use stores::TenantStores;
use stores::model::{NewApiKey, WorkspaceId};

use super::bed::Api;
use super::reply::{Reply, send};

/// A tenant and its first API key.
#[derive(Clone)]
pub struct ApiTenant {
    /// Its id.
    pub id: String,
    /// Its first API key.
    pub key: String,
    /// Its stores.
    pub stores: TenantStores,
    url: String,
    client: Client,
}

impl ApiTenant {
    pub(super) fn new(api: &Api, id: &str, key: String) -> Self {
        let stores = api.opened.stores.scoped(&TenantContext::for_tests(id));
        Self { id: id.to_owned(), key, stores, url: api.url.clone(), client: Client::new() }
    }

    pub(super) async fn activate(&self, api: &Api) {
        let (catalog, now) = (self.stores.catalog(), api.clock.now());
        self.kb_make(api, "default").await;
        let key: ApiKey = self.key.parse().expect("the API gave the key");
        let first = NewApiKey {
            id: key.id.clone(),
            name: "first".into(),
            secret_sha256: key.secret_hash().to_hex(),
            role: Role::Admin,
            kb_id: None,
            permissions: None,
            created_by: None,
            expires_at: None,
        };
        catalog.api_key_ensure(&first, now).await.expect("the catalog answers");
        let moved = catalog.tenant_status_move(TenantStatus::Provisioning, TenantStatus::Active).await;
        assert!(moved.expect("the catalog answers"), "the tenant was not being provisioned");
    }

    /// Makes another knowledge base.
    ///
    /// # Panics
    /// When a store does not answer.
    pub async fn kb_make(&self, api: &Api, id: &str) {
        let id: KbId = id.parse().expect("a test names a valid knowledge base");
        let workspace = WorkspaceId::generate(api.clock.now(), rand::random());
        let kb = self.stores.catalog().kb_ensure(&id, id.as_str(), &workspace, api.clock.now()).await;
        self.stores.index().provision(&kb.expect("the catalog answers")).await.expect("the index answers");
    }

    /// A request with the tenant's key. `path` follows the tenant's own path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.key)
    }

    /// The same without credentials.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1/tenants/{}{path}", self.url, self.id))
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends one text to the first knowledge base.
    pub async fn upload_text(&self, name: &str, text: &str) -> Reply {
        self.post("/kbs/default/documents/text", &json!({ "name": name, "text": text })).await
    }

    /// Sends files to the first knowledge base: names and contents.
    pub async fn upload_files(&self, files: &[(&str, &[u8])]) -> Reply {
        let form = files.iter().fold(Form::new(), |form, (name, bytes)| {
            form.part("file", Part::bytes(bytes.to_vec()).file_name((*name).to_owned()))
        });
        send(self.request(Method::POST, "/kbs/default/documents").multipart(form)).await
    }
}
