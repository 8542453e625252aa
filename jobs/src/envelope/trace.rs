//! The trace that a job belongs to, carried across the queue.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::id::serde_as_text;
use crate::tenant::InvalidId;

/// A W3C [`traceparent`](https://www.w3.org/TR/trace-context/#traceparent-header), version 00. Kept as it is written:
/// it is passed on far more often than looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    text: [u8; LENGTH],
}

/// Where the parts are in `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;
const VERSION: Range<usize> = 0..3;
const TRACE_ID: Range<usize> = 3..35;
const PARENT_ID: Range<usize> = 36..52;

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
