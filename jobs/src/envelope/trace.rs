//! The trace that a job belongs to, carried across the queue.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::id::serde_as_text;
use crate::tenant::InvalidId;

/// A W3C [`traceparent`](https://www.w3.org/TR/trace-context/#traceparent-header), version 00. Kept as it is written:
/// it is passed on far more often than looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    text: [u8; LENGTH],
}

/// The target of the spans that make up a trace, at level TRACE: logs leave them out, and a program that exports traces
/// takes them all. Their fields `trace.id`, `trace.span` and `trace.parent` say which span they are; without these they
/// are the child of the span around them.
pub const SPANS: &str = "tenantry::spans";

/// Where the parts are in `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;
const VERSION: Range<usize> = 0..3;
const TRACE_ID: Range<usize> = 3..35;
const PARENT_ID: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;

impl TraceParent {
    /// A new, sampled trace.
    #[must_use]
    pub fn start() -> Self {
        Self { text: *b"00-00000000000000000000000000000000-0000000000000000-01" }
            .with(TRACE_ID, &rand::random::<u128>().max(1).to_be_bytes())
            .child()
    }

    /// The next span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        self.with(PARENT_ID, &rand::random::<u64>().max(1).to_be_bytes())
    }

    /// The trace id in hexadecimal.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.as_str().get(TRACE_ID).unwrap_or_default()
    }

    /// The id of the span that the next ones are children of, in hexadecimal.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.as_str().get(PARENT_ID).unwrap_or_default()
    }

    /// The span of the same trace that `seed` names, the same whenever it is asked for.
    #[must_use]
    pub fn derived(&self, seed: &str) -> Self {
        let digest = Sha256::digest(seed);
        let id = digest.first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes));
        self.with(PARENT_ID, &id.max(1).to_be_bytes())
    }

    /// Whether the trace is one that is kept.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.as_str().get(FLAGS).unwrap_or_default(), 16).is_ok_and(|flags| flags & 1 == 1)
    }

    fn with(mut self, part: Range<usize>, bytes: &[u8]) -> Self {
        hex::encode_to_slice(bytes, &mut self.text[part]).expect("a part has two digits for each byte");
        self
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text).ok_or(InvalidId::new("traceparent", "00-<32 hex>-<16 hex>-<2 hex>, not all zero"))
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let text: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let dash = |at: usize| at == TRACE_ID.end || at == PARENT_ID.end;
    let fits = |(at, &byte): (usize, &u8)| if dash(at) { byte == b'-' } else { hex(byte) };
    let valid = text[VERSION] == *b"00-"
        && text.iter().enumerate().skip(VERSION.end).all(fits)
        && [TRACE_ID, PARENT_ID].into_iter().all(|id| text[id].iter().any(|&digit| digit != b'0'));
    valid.then_some(TraceParent { text })
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.to_string()
    }
}

serde_as_text!(TraceParent);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_is_read() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace: TraceParent = text.parse().unwrap();
        assert_eq!(trace.to_string(), text);
        assert_eq!(trace.child().trace_id(), trace.trace_id());
        assert_ne!(trace.child(), trace);
        assert_eq!((trace.span_id(), trace.is_sampled()), ("00f067aa0ba902b7", true));
        assert_eq!(trace.derived("1"), trace.derived("1"));
        assert_ne!(trace.derived("1"), trace.derived("2"));
        assert_eq!(trace.derived("1").trace_id(), trace.trace_id());
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0-",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
