use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::distinct::Distinct;
use crate::problem::{Code, Problem};

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body that may be left out.
pub struct OptionalJson<T>(pub T);

/// A JSON merge patch (RFC 7396) of a `T`: what it does not name stays.
pub struct MergePatch<T> {
    /// The patch.
    pub value: Value,
    of: PhantomData<fn() -> T>,
}

impl<S: Send + Sync, T> FromRequest<S> for MergePatch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(Distinct(value)) = Json::from_request(request, state).await?;
        if value.is_object() {
            Ok(Self { value, of: PhantomData })
        } else {
            Err(Problem::new(Code::InvalidField, "expected an object"))
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedContentType, "send Content-Type: application/json"));
        }
        parse(&read(request, state).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = read(request, state).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parse(&body).map(Self) }
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|error| unreadable(&error))
}

/// The refusal of a body that could not be read to its end.
fn unreadable(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Code::RequestTooLarge, "the body is larger than this route takes")
    } else {
        Problem::new(Code::MalformedRequest, "the body ended early")
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(Code::NotUtf8, format!("byte {} of the body is not UTF-8", error.valid_up_to()))
    })?;
    serde_json::from_str(text).map_err(|error| refusal(&error))
}

fn refusal(error: &serde_json::Error) -> Problem {
    let detail = error.to_string();
    let field = detail.split('`').nth(1).map(str::to_owned);
    let problem = |code| match &field {
        Some(field) => Problem::new(code, detail.clone()).field(field.clone()),
        None => Problem::new(code, detail.clone()),
    };
    match error.classify() {
        Category::Data if detail.starts_with("unknown field") => problem(Code::UnknownField),
        Category::Data if detail.starts_with("missing field") => problem(Code::InvalidField),
        Category::Data => Problem::new(Code::InvalidField, detail),
        Category::Syntax | Category::Eof | Category::Io => Problem::new(Code::MalformedJson, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[expect(dead_code, reason = "only its parsing matters")]
        name: String,
    }

    fn code(body: &[u8]) -> Code {
        parse::<Thing>(body).expect_err("it was accepted").code()
    }

    #[test]
    fn each_fault_of_a_body_has_its_code() {
        assert!(parse::<Thing>(br#"{"name":"a"}"#).is_ok());
        for bad in [&b""[..], b"{", b"{\"name\":}", b"{\"name\":\"a\"} x", b"\"\\ud800\""] {
            assert_eq!(code(bad), Code::MalformedJson, "{bad:?}");
        }
        assert_eq!(code(br#"{"name":"a","nmae":"b"}"#), Code::UnknownField);
        assert_eq!(code(br"{}"), Code::InvalidField);
        assert_eq!(code(br#"{"name":1}"#), Code::InvalidField);
        assert_eq!(code(br"[1]"), Code::InvalidField);
        assert_eq!(code(b"{\"name\":\"caf\xe9\"}"), Code::NotUtf8);
    }

    #[test]
    fn what_comes_twice_is_refused_however_deep_it_is() {
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":[{"b":{},"\u0062":{}}]}"#, r#"[{"a":1,"b":2,"a":3}]"#] {
            let problem = parse::<Distinct>(bad.as_bytes()).expect_err("it was accepted");
            assert_eq!(problem.code(), Code::InvalidField, "{bad}");
        }
        for good in [r#"{"a":{"a":[{"a":1},{"a":1}]}}"#, "null", "[1.5,true,-1,\"a\"]"] {
            assert!(parse::<Distinct>(good.as_bytes()).is_ok(), "{good}");
        }
    }
}
