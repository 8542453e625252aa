//! Headers that handlers and extractors ask for: `Idempotency-Key`, `If-Match`, `traceparent`, the client's address.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use jobs::{BatchId, Lane};
use stores::model::EventId;

use crate::accept::IdempotencyKey;
use crate::authority::RequestTrace;
use crate::connections::ClientAddress;
use crate::problem::{Code, Problem};
use crate::state::ApiState;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => key(value.as_bytes()).map(|key| Self(Some(key))),
            (Some(_), Some(_)) => Err(invalid("send one Idempotency-Key")),
        }
    }
}

fn key(value: &[u8]) -> Result<String, Problem> {
    if (1..=255).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic) {
        Ok(String::from_utf8_lossy(value).into_owned())
    } else {
        Err(invalid("an Idempotency-Key has 1 to 255 visible ASCII characters, such as a UUID"))
    }
}

fn invalid(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidIdempotencyKey, detail)
}

const BATCH: &str = "batch-id";

/// The batch that the caller gathers several uploads in: the `Batch-Id` header. Without one, an upload is a batch of
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedBatch(pub Option<BatchId>);

impl<S: Sync> FromRequestParts<S> for NamedBatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(BATCH).iter();
        let invalid =
            || Problem::new(Code::InvalidBatchId, "send one Batch-Id: a UUID of version 7 in lower case");
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => {
                let id = value.to_str().ok().and_then(|text| text.parse().ok());
                id.map(|id| Self(Some(id))).ok_or_else(invalid)
            }
            (Some(_), Some(_)) => Err(invalid()),
        }
    }
}

const LANE: &str = "lane";

/// The lane that the caller chooses for what an upload starts: the `Lane` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedLane(pub Option<Lane>);

impl<S: Sync> FromRequestParts<S> for AskedLane {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(LANE).iter();
        let invalid = || Problem::new(Code::InvalidLane, "send one Lane: interactive or bulk");
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => {
                let lane = value.to_str().ok().and_then(Lane::from_name);
                lane.map(|lane| Self(Some(lane))).ok_or_else(invalid)
            }
            (Some(_), Some(_)) => Err(invalid()),
        }
    }
}

const LAST_EVENT: &str = "last-event-id";

/// The event that the caller has seen last: the `Last-Event-ID` header, as browsers send it when they reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEvent(pub Option<EventId>);

impl<S: Sync> FromRequestParts<S> for LastEvent {
    type Rejection = Infallible;

    /// One that this API never gave is as one of an event that is no longer kept: the stream says so.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let sent = parts.headers.get(LAST_EVENT).filter(|value| !value.is_empty());
        let read = |value: &HeaderValue| value.to_str().ok().and_then(|text| text.parse().ok());
        Ok(Self(sent.map(|value| read(value).unwrap_or(EventId::FIRST))))
    }
}

/// Whether the caller wants a stream of events rather than one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantsEvents(pub bool);

impl<S: Sync> FromRequestParts<S> for WantsEvents {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accepts = parts.headers.get_all(header::ACCEPT).iter();
        let wants = |value: &HeaderValue| {
            value
                .to_str()
                .is_ok_and(|text| text.split(',').any(|kind| kind.trim().starts_with("text/event-stream")))
        };
        Ok(Self(accepts.into_iter().any(wants)))
    }
}

/// What a change expects of the thing that it changes: the `If-Match` header (RFC 9110, 13.1.1). Without one it
/// expects nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Option<Vec<u64>>);

impl IfMatch {
    /// Checks the revision that was found. Returns the revision that must still be there when the change is
    /// written, if the caller insists on one.
    ///
    /// # Errors
    /// When the caller expects another one.
    pub fn expect(&self, found: u64) -> Result<Option<u64>, Problem> {
        match &self.0 {
            None => Ok(None),
            Some(expected) if expected.contains(&found) => Ok(Some(found)),
            Some(_) => Err(Self::failed()),
        }
    }

    /// Returned for a change whose `If-Match` does not match the current version.
    #[must_use]
    pub fn failed() -> Problem {
        let detail = "it is not as If-Match says: get it again and send its ETag";
        Problem::new(Code::PreconditionFailed, detail)
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let headers = parts.headers.get_all(header::IF_MATCH).iter();
        let texts: Vec<_> = headers.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        Ok(if texts.is_empty() { Self(None) } else { read(&texts.join(",")) })
    }
}

/// A tag that we did not give out, a weak one among them, matches nothing.
fn read(list: &str) -> IfMatch {
    let tags: Vec<_> = list.split(',').map(str::trim).collect();
    if tags == ["*"] { IfMatch(None) } else { IfMatch(Some(tags.into_iter().filter_map(revision).collect())) }
}

fn revision(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    // Not `parse` alone: it would take "+1".
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The trace that a request is part of, as the outermost middleware has begun it.
pub(super) fn request_trace(parts: &Parts) -> RequestTrace {
    parts.extensions.get::<RequestTrace>().copied().unwrap_or_default()
}

impl FromRequestParts<ApiState> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        Ok(Self::of_request(peer, &parts.headers, &app.resolution().trusted_proxies))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        assert_eq!(key(b"order-1").unwrap(), "order-1");
        assert!(key(&[b'a'; 255]).is_ok());
        for bad in [&b""[..], b"a b", b"caf\xc3\xa9", b"a\tb", &[b'a'; 256]] {
            assert_eq!(key(bad).unwrap_err().code(), Code::InvalidIdempotencyKey, "{bad:?}");
        }
    }

    #[test]
    fn tags_are_compared_as_they_were_given_out() {
        let expect = |header: &str| read(header).expect(3).map_err(|problem| problem.code());
        assert_eq!(IfMatch(None).expect(3).unwrap(), None);
        assert_eq!(expect("*"), Ok(None));
        assert_eq!(expect("\"3\""), Ok(Some(3)));
        assert_eq!(expect("\"1\", \"3\""), Ok(Some(3)));
        for bad in ["\"2\"", "3", "W/\"3\"", "\"+3\"", "\"\"", "", "\"3", "x"] {
            assert_eq!(expect(bad), Err(Code::PreconditionFailed), "{bad}");
        }
    }
}
