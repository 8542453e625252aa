use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub bytes: Vec<u8>,
}

/// Sends a request.
///
/// # Panics
/// When there is no answer.
pub async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.expect("the API answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("the answer has an end").to_vec();
    Reply { status, headers, bytes }
}

impl Reply {
    /// The body as JSON; `Null` when it is none.
    #[must_use]
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The text at a JSON pointer.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> String {
        let body = self.body();
        let text = body.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("nothing at {pointer} of {body}")).to_owned()
    }

    /// A header, `""` when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Asserts that a request was refused with a status and a code, as a problem.
///
/// # Panics
/// When it was not.
#[track_caller]
pub fn problem(reply: &Reply, status: u16, code: &str) {
    let body = reply.body();
    assert_eq!((reply.status, body["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(body["status"], status);
    for member in ["type", "title", "detail"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {body}");
    }
}
