//! Names of accounts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::InvalidId;
use crate::as_text::serde_as_text;

/// Names an account, or whom an invitation is for. It never changes, and it is lower case, so that two people cannot be
/// told apart by case alone.
///
/// ```
/// use jobs::tenant::Subject;
/// assert!("ann@example.com".parse::<Subject>().is_ok());
/// assert!("Ann".parse::<Subject>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

serde_as_text!(Subject);

impl Subject {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| plain(byte) || b"._@+-".contains(&byte);
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
        if fits && text.bytes().take(1).all(plain) && text.bytes().all(inner) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::new(
                "subject",
                "1 to 128 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit",
            ))
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_plain_lower_case_ascii() {
        let long = "a".repeat(Subject::MAX_LENGTH);
        for good in ["a", "ann", "0", "ann.b+c_d@example-1.com", long.as_str()] {
            assert_eq!(good.parse::<Subject>().unwrap().as_str(), good);
        }
        let longer = "a".repeat(Subject::MAX_LENGTH + 1);
        for bad in ["", "Ann", ".ann", "@", "a b", "a/b", "a:b", "a\nb", "аnn", "ann'--", "$ne", &longer] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }
}
