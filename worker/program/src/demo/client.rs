//! A minimal API client, as a customer would write it: it has a URL and a key, and speaks HTTP.

use std::path::Path;

use anyhow::{Context, bail};
use jobs::plan::Plans;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// An HTTP client of the API with one key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: SecretString,
}

/// The answer to creating a tenant.
#[derive(Debug, Deserialize)]
pub struct Created {
    /// Returned only once.
    pub api_key: String,
}

/// The fields of a document that the demo shows.
#[derive(Debug, Deserialize)]
pub struct DocumentView {
    /// Its name.
    pub name: String,
    /// `pending`, `processing`, `processed`, `partial` or `failed`.
    pub status: String,
    /// Why it failed, when it did.
    pub error: Option<Problem>,
}

#[derive(Debug, Deserialize)]
struct DocumentPage {
    documents: Vec<DocumentView>,
    next: Option<String>,
}

/// A problem from the API: why a request was rejected or a document failed.
#[derive(Debug, Default, Deserialize)]
pub struct Problem {
    /// Stable code.
    #[serde(default)]
    pub code: String,
    /// What to do.
    #[serde(default)]
    pub detail: String,
}

impl Client {
    /// A client of the API at `base`.
    #[must_use]
    pub fn new(base: &str, key: SecretString) -> Self {
        Self { http: reqwest::Client::new(), base: base.to_owned(), key }
    }

    /// The same API base URL with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.into(), ..self.clone() }
    }

    /// Creates a tenant, with the plan that has no limits unless it is defined, whatever newcomers get: a demo is for
    /// seeing things happen. It is provisioned in the background.
    ///
    /// # Errors
    /// When the API does not answer or rejects the request.
    pub async fn tenant_create(&self, id: &str) -> anyhow::Result<Created> {
        let body = json!({ "id": id, "name": id, "plan": Plans::USUAL });
        let request = self.request(Method::POST, "/api/v1/tenants").json(&body);
        let answer = request.send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// The status of a tenant.
    ///
    /// # Errors
    /// When the API does not answer or rejects the request.
    pub async fn tenant_status(&self, id: &str) -> anyhow::Result<String> {
        let tenant = self.get(&format!("/api/v1/tenants/{id}")).await?;
        Ok(tenant["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Uploads one file. `Err` inside the result is a rejection by the API.
    ///
    /// # Errors
    /// When the file cannot be read, or the API does not answer or fails.
    pub async fn upload(
        &self,
        tenant: &str,
        name: &str,
        media_type: &str,
        path: &Path,
    ) -> anyhow::Result<Result<(), Problem>> {
        let bytes = tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()))?;
        let part = Part::bytes(bytes).file_name(name.to_owned()).mime_str(media_type)?;
        let path = format!("/api/v1/tenants/{tenant}/kbs/default/documents");
        let answer =
            self.request(Method::POST, &path).multipart(Form::new().part("file", part)).send().await?;
        match answer.status() {
            StatusCode::ACCEPTED => Ok(Ok(())),
            status if status.is_client_error() => Ok(Err(answer.json().await.unwrap_or_default())),
            status => bail!("the API answered {status} to the upload of {name}"),
        }
    }

    /// The status of each document of a tenant.
    ///
    /// # Errors
    /// When the API does not answer or rejects the request.
    pub async fn documents(&self, tenant: &str) -> anyhow::Result<Vec<DocumentView>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/tenants/{tenant}/kbs/default/documents?limit=1000{after}");
            let page: DocumentPage = serde_json::from_value(self.get(&path).await?)?;
            all.extend(page.documents);
            let Some(next) = page.next else { return Ok(all) };
            after = format!("&after={next}");
        }
    }

    /// Sends a GET request and returns the JSON body.
    ///
    /// # Errors
    /// When the API does not answer or rejects the request.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.request(Method::GET, path).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Sends a request that changes something, with a JSON body if there is one, and returns that of the answer.
    ///
    /// # Errors
    /// When the API does not answer or rejects the request.
    pub async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let request = self.request(method, path);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let answer = request.send().await?.error_for_status()?;
        let bytes = answer.bytes().await?;
        if bytes.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&bytes)?) }
    }

    /// Status and problem of a request that is expected to be rejected.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn refusal(&self, path: &str) -> anyhow::Result<(u16, Problem)> {
        let answer = self.request(Method::GET, path).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.key.expose_secret())
    }
}
