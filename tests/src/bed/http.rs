use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// An HTTP client with one key.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: String,
    key: String,
}

/// An answer: status, body, and where it points to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, `Null` when it is not JSON.
    pub body: Value,
    /// The `Location` header.
    pub location: Option<String>,
}

impl Http {
    /// Speaks to `base` with `key`.
    #[must_use]
    pub fn new(base: &str, key: &str) -> Self {
        // One connection for each request: beds and runtimes come and go.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build();
        let client = client.expect("an HTTP client needs nothing from outside");
        Self { client, base: base.to_owned(), key: key.to_owned() }
    }

    /// The same key at another address: the program was started again.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self::new(base, &self.key)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    /// Gets `path`.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON to `path`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }
}

/// Sends a request and reads the answer.
///
/// # Panics
/// When there is no answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.expect("the API answers");
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("the answer has a body");
    Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null), location }
}
