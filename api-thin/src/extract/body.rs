use std::marker::PhantomData;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::distinct::Distinct;
use super::incoming::Incoming;
use super::strict::{self, shown};
use crate::documents::UploadRoom;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// Smaller bodies are parsed within a millisecond.
const PARSED_AT_ONCE: usize = 64 * 1024;

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body with documents: as large as an upload may be.
pub struct UploadJson<T> {
    /// The body.
    pub body: T,
    /// What it takes of the memory for uploads, as long as this lives.
    pub room: Option<UploadRoom>,
}

/// A JSON body that may be left out.
pub struct OptionalJson<T>(pub T);

/// A JSON merge patch (RFC 7396) of a `T`: what it does not name stays.
pub struct MergePatch<T> {
    /// The patch.
    pub value: Value,
    of: PhantomData<fn() -> T>,
}

impl<T> FromRequest<ApiState> for MergePatch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        let Json(Distinct(value)) = Json::from_request(request, app).await?;
        if value.is_object() {
            Ok(Self { value, of: PhantomData })
        } else {
            Err(Problem::new(Code::InvalidField, "expected an object"))
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<ApiState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let (body, _) = Incoming::small(request, app)?.read().await?;
        parsed(body).await.map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<ApiState> for UploadJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let (body, room) = Incoming::upload(request, app)?.read().await?;
        Ok(Self { body: parsed(body).await?, room })
    }
}

impl<T: DeserializeOwned + Default + Send + 'static> FromRequest<ApiState> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, Problem> {
        refuse_encoded(request.headers())?;
        let (body, _) = Incoming::small(request, app)?.read().await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parsed(body).await.map(Self) }
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    refuse_encoded(headers)?;
    let sent = content_type(headers);
    let essence = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(not_taken(&sent, "application/json"))
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    String::from_utf8_lossy(value).into_owned()
}

/// The refusal of a body whose Content-Type is not the one that a route takes.
pub(super) fn unsupported(headers: &HeaderMap, wanted: &str) -> Problem {
    not_taken(&content_type(headers), wanted)
}

fn not_taken(sent: &str, wanted: &str) -> Problem {
    let detail = match sent.trim() {
        "" => format!("the request has no Content-Type: send Content-Type: {wanted}"),
        sent => format!("this route does not take Content-Type: {}: send {wanted}", shown(sent)),
    };
    Problem::new(Code::UnsupportedContentType, detail).field("Content-Type")
}

/// Bodies are read as they come: unpacking a small one can fill the memory.
pub(super) fn refuse_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = codings.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let Some(coding) =
        coding.filter(|coding| !coding.is_empty()).find(|coding| !coding.eq_ignore_ascii_case("identity"))
    else {
        return Ok(());
    };
    let detail =
        format!("bodies with Content-Encoding: {} are not taken: send the body as it is", shown(&coding));
    Err(Problem::new(Code::UnsupportedContentType, detail).field("Content-Encoding"))
}

/// A body of megabytes would hold up the other requests of this thread.
async fn parsed<T: DeserializeOwned + Send + 'static>(body: Bytes) -> Result<T, Problem> {
    if body.len() <= PARSED_AT_ONCE {
        return parse(&body);
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&body)).await;
    parsed.unwrap_or_else(|panicked| Err(Problem::internal(&panicked)))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Problem::new(Code::NotUtf8, format!("byte {at} of the body is not UTF-8: send JSON in UTF-8"))
    })?;
    // Some editors and libraries begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Problem::new(Code::MalformedJson, "the body is empty: send a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = strict::read(&mut json).map_err(|misfit| match misfit.error.classify() {
        Category::Data => misfit.problem(Code::InvalidField, Code::UnknownField),
        Category::Syntax | Category::Eof | Category::Io => malformed(&misfit.error),
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}"))
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
        for bad in [&b""[..], b" ", b"{", b"{\"name\":}", b"{\"name\":\"a\"} x", b"{\"name\":\"\\ud800\"}"] {
            assert_eq!(code(bad), Code::MalformedJson, "{bad:?}");
        }
        assert!(parse::<Thing>(b"\xef\xbb\xbf{\"name\":\"a\"}").is_ok(), "a byte order mark says nothing");
        assert_eq!(code(br#"["a"]"#), Code::InvalidField);
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

    #[test]
    fn what_is_not_taken_is_named() {
        let headers = |name: header::HeaderName, value: &'static [u8]| {
            HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).unwrap())])
        };
        let detail = |headers: &HeaderMap| require_json(headers).unwrap_err().detail().to_owned();
        assert!(detail(&HeaderMap::new()).contains("has no Content-Type"));
        let text = headers(header::CONTENT_TYPE, b"text/plain; charset=utf-8");
        assert!(detail(&text).contains("text/plain; charset=utf-8: send application/json"));
        let mut packed = headers(header::CONTENT_ENCODING, b"gzip");
        packed.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(detail(&packed).contains("Content-Encoding: gzip"));
        assert!(require_json(&headers(header::CONTENT_TYPE, b"application/merge-patch+json")).is_ok());
        assert!(refuse_encoded(&headers(header::CONTENT_ENCODING, b"Identity")).is_ok());
    }
}
