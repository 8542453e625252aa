use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

/// The id of a knowledge base in the index: a `LightRAG` workspace, and the label of its nodes in the graph.
///
/// `ws_` and 16 digits in base 36: 48 bits of milliseconds, then 32 random bits, big-endian. The length is
/// fixed because `LightRAG` joins workspace and namespace into one name; shorter ids could run into each
/// other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkspaceId(String);

/// A text that is not a workspace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a workspace id: expected ws_ and 16 digits or lower-case letters")]
pub struct InvalidWorkspace;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl WorkspaceId {
    /// A new id, created at `now`; `random` tells ids of the same millisecond apart.
    #[must_use]
    pub fn generate(now: DateTime<Utc>, random: u32) -> Self {
        let ms = u128::try_from(now.timestamp_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        let mut value = (ms << 32) | u128::from(random);
        let mut text = [b'0'; 16];
        for place in text.iter_mut().rev() {
            *place = DIGITS[(value % 36) as usize];
            value /= 36;
        }
        Self(format!("ws_{}", String::from_utf8_lossy(&text)))
    }

    /// The id as text. Safe to put into a query, since it contains nothing but `[0-9a-z_]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspaceId {
    type Err = InvalidWorkspace;

    fn from_str(text: &str) -> Result<Self, InvalidWorkspace> {
        let digits = text.strip_prefix("ws_").ok_or(InvalidWorkspace)?;
        let valid = digits.len() == 16 && digits.bytes().all(|byte| DIGITS.contains(&byte));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidWorkspace) }
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_shape_and_sort_by_time() {
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        let early = WorkspaceId::generate(at(1_700_000_000_000), u32::MAX);
        let late = WorkspaceId::generate(at(1_700_000_000_001), 0);
        assert_eq!(early.as_str().parse(), Ok(early.clone()));
        assert!(early.as_str() < late.as_str());
        for bad in [
            "",
            "ws_",
            "ws_000000000000000",
            "ws_000000000000000A",
            "ws_0000000000000`;x",
            "xx_0000000000000000",
        ] {
            assert!(bad.parse::<WorkspaceId>().is_err(), "{bad}");
        }
    }
}
