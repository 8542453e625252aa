//! JSON bodies: read no further, no slower and into no more memory than their request may.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{BodyDataStream, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use jobs::tenant::TenantId;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::strict::read;
use crate::config::RequestLimits;
use crate::connections::OpenRequest;
use crate::documents::UploadRoom;
use crate::problem::{Code, Problem, shown};
use crate::state::ApiState;

/// Smaller bodies are parsed within a millisecond.
const PARSED_AT_ONCE: usize = 64 * 1024;

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body with documents: as large as an upload may be.
pub struct UploadJson<T> {
    /// The body.
    pub body: T,
    /// The reserved memory for uploads, held until this is dropped.
    pub room: Option<UploadRoom>,
}

/// A JSON body that may be left out.
pub struct OptionalJson<T>(pub T);

/// A JSON merge patch (RFC 7396) of a `T`: fields that are absent keep their values.
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

/// Returned for a body whose Content-Type is not the route's.
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
    let value = read(&mut json).map_err(|misfit| match misfit.error.classify() {
        Category::Data => misfit.problem(Code::InvalidField, Code::UnknownField),
        Category::Syntax | Category::Eof | Category::Io => malformed(&misfit.error),
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}"))
}

/// JSON that is taken as it is, of which no object has a name twice: which of two would count is a matter of the
/// parser's taste. Bodies with a type of their own refuse that by themselves.
#[derive(Debug)]
pub struct Distinct(pub Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk).map(Self)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let Distinct(value) = map.next_value()?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Distinct(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// RFC 7396: fields that `patch` does not name stay, fields that it sets to `null` are removed.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge_patch(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Memory is taken in steps of this size, so that not every packet asks for some.
const STEP: usize = 64 << 10;
/// The least that has to come in a second, on average, once the first [`GRACE`] is over.
const LEAST_RATE: u32 = 1 << 10;
const GRACE: Duration = Duration::from_secs(30);

/// The tenant that uploads. Inserted by the extractor that authorizes the caller: without it no body reserves memory
/// for uploads.
#[derive(Debug, Clone)]
pub(super) struct Uploader(pub(super) TenantId);

/// A body that is being read.
pub(super) struct Incoming {
    body: BodyDataStream,
    most: usize,
    announced: Option<usize>,
    received: usize,
    pace: Pace,
    room: Option<UploadRoom>,
}

impl Incoming {
    /// The body of a request that is not an upload.
    ///
    /// # Errors
    /// When it is announced to be too large.
    pub(super) fn small(request: Request, app: &ApiState) -> Result<Self, Problem> {
        let is_authenticated = is_authenticated(request.extensions());
        let most = if is_authenticated {
            RequestLimits::BODY_BYTES
        } else {
            RequestLimits::UNAUTHENTICATED_BODY_BYTES
        };
        let idle = app.request_limits().body_idle_time;
        Self::open(request, most, Pace::new(idle, is_authenticated), None)
    }

    /// The body of an upload, after its caller was authorized.
    ///
    /// # Errors
    /// When its Content-Length is too large.
    pub(super) fn upload(request: Request, app: &ApiState) -> Result<Self, Problem> {
        let Some(Uploader(tenant)) = request.extensions().get().cloned() else {
            tracing::error!("an upload is read before its caller was let in");
            return Err(Problem::new(
                Code::Internal,
                "the fault was logged; name the X-Request-Id when you report it",
            ));
        };
        let pace = Pace::new(app.request_limits().body_idle_time, true);
        Self::open(request, app.request_limits().request_bytes, pace, Some(app.budget().open(tenant)))
    }

    fn open(request: Request, most: usize, pace: Pace, room: Option<UploadRoom>) -> Result<Self, Problem> {
        let body = request.into_body();
        let announced = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced.is_some_and(|announced| announced > most) {
            return Err(too_large(most));
        }
        Ok(Self { body: body.into_data_stream(), most, announced, received: 0, pace, room })
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the body is too large, too slow, broken off, or finds no room.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = timeout_at(self.pace.deadline(self.received), self.body.try_next()).await;
        let next = next.map_err(|_| self.pace.too_slow())?;
        let piece = next.map_err(|_| Problem::new(Code::MalformedRequest, "the body ended early"))?;
        let Some(piece) = piece else { return Ok(None) };
        self.received = self.received.saturating_add(piece.len());
        if self.received > self.most {
            return Err(too_large(self.most));
        }
        self.find_room().await?;
        self.pace.last = Instant::now();
        Ok(Some(piece))
    }

    async fn find_room(&mut self) -> Result<(), Problem> {
        let Some(room) = &mut self.room else { return Ok(()) };
        let step = self.received.next_multiple_of(STEP);
        let wanted = self.announced.map_or(step, |announced| step.min(announced.max(self.received)));
        let start = Instant::now();
        room.hold(wanted).await.map_err(|_| {
            Problem::new(Code::Busy, "there is no room for another upload now").retry_after_s(1)
        })?;
        // The client is not slow while it waits for us.
        self.pace.start += start.elapsed();
        Ok(())
    }

    /// The whole body, and its memory reservation.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(super) async fn read(mut self) -> Result<(Bytes, Option<UploadRoom>), Problem> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok((whole.freeze(), self.room))
    }

    /// The body's memory reservation, to be held as long as the contents.
    pub(super) fn take_room(&mut self) -> Option<UploadRoom> {
        self.room.take()
    }
}

fn is_authenticated(extensions: &Extensions) -> bool {
    extensions.get::<Arc<OpenRequest>>().is_some_and(|open| open.is_authenticated())
}

fn too_large(most: usize) -> Problem {
    Problem::new(
        Code::RequestTooLarge,
        format!("the body has more than {most} bytes, the most that this route takes"),
    )
}

/// How fast a body has to come.
#[derive(Debug)]
struct Pace {
    start: Instant,
    last: Instant,
    idle: Duration,
    is_authenticated: bool,
}

impl Pace {
    fn new(idle: Duration, is_authenticated: bool) -> Self {
        let now = Instant::now();
        Self { start: now, last: now, idle, is_authenticated }
    }

    /// When the next bytes have to be there.
    fn deadline(&self, received: usize) -> Instant {
        if !self.is_authenticated {
            return self.start + self.idle;
        }
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs((received / LEAST_RATE).into());
        (self.last + self.idle).min(self.start + GRACE.max(self.idle) + earned)
    }

    fn too_slow(&self) -> Problem {
        let detail = if self.is_authenticated {
            format!(
                "the body comes too slowly: send something every {} s, and {LEAST_RATE} bytes a second",
                self.idle.as_secs_f32()
            )
        } else {
            format!("the body was not complete within {} s", self.idle.as_secs_f32())
        };
        Problem::new(Code::RequestTimeout, detail)
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

    const SECOND: Duration = Duration::from_secs(1);

    fn due(pace: &Pace, received: usize) -> u64 {
        pace.deadline(received).duration_since(pace.start).as_secs()
    }

    #[test]
    fn a_body_has_to_go_on_and_to_get_on() {
        let mut pace = Pace::new(SECOND * 15, true);
        assert_eq!(due(&pace, 0), 15);
        pace.last += SECOND * 10;
        assert_eq!(due(&pace, 10), 25);
        pace.last += SECOND * 10;
        assert_eq!(due(&pace, 20), 30, "it trickles");
        assert_eq!(due(&pace, 3 << 10), 33);
        assert_eq!(due(&pace, 1 << 20), 35);
    }

    #[test]
    fn an_unauthenticated_body_is_there_in_time_however_it_trickles() {
        let mut pace = Pace::new(SECOND * 15, false);
        pace.last += SECOND * 14;
        assert_eq!(due(&pace, 10_000), 15);
    }
}
