//! Asks the API in this process, as a client with the credentials of the signed-in person: the dashboard can show and
//! do what the API lets them, and nothing else.

use std::fmt::Write as _;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::Dashboard;
use crate::contract::Readiness;

/// An answer of the API is at most this large: a page of 1,000 documents is a tenth of it.
const MOST_BYTES: usize = 8 << 20;
const PATH_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':').remove(b'@');
/// What the API is told of the request that a page answers: where it comes from, and which it is.
const PASSED_ON: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
];

/// Encodes one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, PATH_SEGMENT).to_string()
}

/// Puts the pairs that have a value behind a path as its query.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    let mut whole = path.to_owned();
    if !query.is_empty() {
        let _ = write!(whole, "?{query}");
    }
    whole
}

/// Why the API refused (RFC 9457).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) code: String,
}

impl Problem {
    /// An answer that is not the API's contract.
    fn unreadable(status: StatusCode) -> Self {
        Self {
            status: if status.is_success() { 502 } else { status.as_u16() },
            title: "The API gave an answer that the dashboard cannot read".to_owned(),
            detail: "the fault was logged".to_owned(),
            code: "unreadable_answer".to_owned(),
        }
    }
}

/// The API, as one request to the dashboard uses it.
#[derive(Clone)]
pub(crate) struct Api {
    router: Router,
    extensions: Extensions,
    headers: HeaderMap,
    credentials: Option<SecretString>,
}

impl Api {
    /// For the request whose head is `parts`. Its connection's limits and its client's address count for what it asks.
    pub(crate) fn of_request(
        dashboard: &Dashboard,
        parts: &Parts,
        credentials: Option<SecretString>,
    ) -> Self {
        let given = |name: HeaderName| parts.headers.get(&name).map(|value| (name.clone(), value.clone()));
        let headers = PASSED_ON.into_iter().filter_map(given).collect();
        // Not all of them: the parameters of the page's own path are none of the API's.
        let extensions = (dashboard.0.carried)(&parts.extensions);
        Self { router: dashboard.0.api.clone(), extensions, headers, credentials }
    }

    pub(crate) fn with_credentials(self, credentials: SecretString) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.send(Method::GET, path, None).await
    }

    /// Sends JSON, if there is any. The reason goes into the audit log.
    pub(crate) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        reason: &str,
    ) -> Result<Value, Problem> {
        let mut api = self.clone();
        if !reason.is_empty() {
            let encoded = utf8_percent_encode(reason, NON_ALPHANUMERIC).to_string();
            let value = HeaderValue::try_from(encoded).expect("percent-encoded text is ASCII");
            api.headers.insert(HeaderName::from_static("audit-reason"), value);
        }
        api.send(method, path, body).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Problem> {
        let mut headers = HeaderMap::new();
        let body = match body {
            Some(json) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        read(path, &self.pass(method, path, headers, body).await?)
    }

    /// Whether the API can do its work.
    pub(crate) async fn ready(&self) -> Result<Readiness, Problem> {
        let path = "/readyz";
        read(path, &self.ask(Method::GET, path, HeaderMap::new(), Body::empty()).await?)
    }

    /// Passes a body on as it comes, such as files.
    pub(crate) async fn pass(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(StatusCode, Vec<u8>), Problem> {
        self.ask(method, &format!("/api/v1{path}"), headers, body).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(StatusCode, Vec<u8>), Problem> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| Problem::unreadable(StatusCode::NOT_FOUND))?;
        *request.extensions_mut() = self.extensions.clone();
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().extend(headers);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(credentials) = &self.credentials {
            let value = HeaderValue::try_from(format!("Bearer {}", credentials.expose_secret()));
            let mut value = value.map_err(|_| Problem::unreadable(StatusCode::UNAUTHORIZED))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), MOST_BYTES).await;
        bytes.map(|bytes| (status, bytes.into())).map_err(|_| Problem::unreadable(status))
    }
}

/// The answer as what the dashboard expects, or why the API refused.
fn read<T: DeserializeOwned>(path: &str, (status, bytes): &(StatusCode, Vec<u8>)) -> Result<T, Problem> {
    if !status.is_success() {
        return Err(serde_json::from_slice(bytes).unwrap_or_else(|_| Problem::unreadable(*status)));
    }
    let json: &[u8] = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(json).map_err(|error| {
        tracing::error!(path, %error, "an answer of the API is not as the dashboard expects");
        Problem::unreadable(*status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_segment() {
        assert_eq!(segment("../a b?c#d/é"), "..%2Fa%20b%3Fc%23d%2F%C3%A9");
        assert_eq!(segment("issuer:https://id/#ann@x"), "issuer:https:%2F%2Fid%2F%23ann@x");
    }

    #[test]
    fn a_query_leaves_out_what_is_empty() {
        assert_eq!(
            with_query("/jobs", &[("state", "a,b"), ("type", ""), ("after", "x y")]),
            "/jobs?state=a%2Cb&after=x+y"
        );
        assert_eq!(with_query("/jobs", &[("type", "")]), "/jobs");
    }
}
