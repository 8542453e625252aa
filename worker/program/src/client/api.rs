//! The API over HTTP.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::failure::Failure;

const API: &str = "/api/v1";
/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longer than the API lets a request take.
const REQUEST: Duration = Duration::from_secs(130);
/// How many items the API gives on one page.
const PAGE: usize = 1000;
const PATH_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':').remove(b'@');

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, PATH_SEGMENT).to_string()
}

/// The API at a URL, with the credentials of the caller.
pub(super) struct Api {
    http: Client,
    url: String,
    key: Option<SecretString>,
}

/// An answer of any status.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Api {
    /// `url` is that of the server, without a final slash.
    pub(super) fn new(url: String, key: Option<SecretString>) -> Result<Self, Failure> {
        if key.as_ref().is_some_and(|key| !key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Failure::Usage("the key has characters that no key has: copy it again".to_owned()));
        }
        // A process has one TLS provider; whether this call or another one set it makes no difference.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("tenantry/", env!("CARGO_PKG_VERSION"));
        // The API does not redirect, and a key must not go elsewhere.
        let http = Client::builder().connect_timeout(CONNECT).timeout(REQUEST).redirect(Policy::none());
        let http = http.user_agent(agent).build();
        let http =
            http.map_err(|error| Failure::Failed(format!("no HTTP: {}", jobs::error::root(&error))))?;
        Ok(Self { http, url, key })
    }

    /// The server's URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What is at a path below `/api/v1`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, path)).await
    }

    /// A change. The reason goes into the audit log.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        reason: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(reason) = reason {
            let encoded = utf8_percent_encode(reason, NON_ALPHANUMERIC).to_string();
            request = request.header("audit-reason", encoded);
        }
        self.json(request).await
    }

    /// Everything that a list has in its field `items`, page by page, up to `limit`.
    pub(super) async fn all(
        &self,
        path: &str,
        query: &[(&str, &str)],
        items: &str,
        limit: Option<usize>,
    ) -> Result<Vec<Value>, Failure> {
        let limit = limit.unwrap_or(usize::MAX);
        let (mut found, mut after) = (Vec::new(), String::new());
        while found.len() < limit {
            let size = (limit - found.len()).min(PAGE).to_string();
            let (mut page, next) =
                self.page(path, query, items, &[("limit", &size), ("after", &after)]).await?;
            found.append(&mut page);
            let Some(next) = next else { break };
            after = next;
        }
        found.truncate(limit);
        Ok(found)
    }

    /// One page of a list, and where the next begins. Pairs without a value are left out of the query.
    pub(super) async fn page(
        &self,
        path: &str,
        query: &[(&str, &str)],
        items: &str,
        paging: &[(&str, &str)],
    ) -> Result<(Vec<Value>, Option<String>), Failure> {
        let mut url = self.address(path);
        let pairs = query.iter().chain(paging).filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().extend_pairs(pairs);
        let mut answer = self.json(self.authorized(self.http.get(url))).await?;
        let next = answer["next"].as_str().map(str::to_owned);
        match answer[items].take() {
            Value::Array(page) => Ok((page, next)),
            _ => Err(self.unreadable()),
        }
    }

    /// A request to a path below `/api/v1`, not sent yet.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorized(self.http.request(method, self.address(path)))
    }

    /// Sends a request and reads the answer as JSON; `null` where it has no body.
    pub(super) async fn json(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let Received { status, headers, body } = self.send(request).await?;
        if !status.is_success() {
            return Err(Failure::of_answer(&self.url, status, &headers, &body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| self.unreadable())
    }

    /// Sends a request whose answer is read as it comes.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unanswered(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.unanswered(&error))?;
        Err(Failure::of_answer(&self.url, status, &headers, &body))
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let reason = format!("does not answer: {}", jobs::error::root(error));
        Failure::Unreachable { url: self.url.clone(), reason }
    }

    /// Asks for a path of the server itself, such as `/readyz`, without credentials.
    pub(super) async fn root(&self, path: &str) -> Result<Received, Failure> {
        self.send(self.http.get(format!("{}{path}", self.url)).header(ACCEPT, "application/json")).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Received, Failure> {
        let read = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok(Received { status, headers, body: response.bytes().await?.to_vec() })
        };
        read.await.map_err(|error: reqwest::Error| self.unanswered(&error))
    }

    fn address(&self, path: &str) -> Url {
        format!("{}{API}{path}", self.url).parse().expect("the URL was checked, and paths are encoded")
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    fn unreadable(&self) -> Failure {
        let reason = "does not answer as Tenantry's API does".to_owned();
        Failure::Unreachable { url: self.url.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_segment() {
        assert_eq!(segment("../a b?c#d/é"), "..%2Fa%20b%3Fc%23d%2F%C3%A9");
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_before_it_is_sent() {
        let api = Api::new("http://localhost:1".to_owned(), Some("tk_a\nb".to_owned().into()));
        assert!(matches!(api, Err(Failure::Usage(_))));
    }
}
