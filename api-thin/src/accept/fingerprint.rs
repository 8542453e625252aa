use sha2::{Digest as _, Sha256};

/// Digest of what a request asks for, so that an `Idempotency-Key` cannot be used for something else.
///
/// It covers what was asked, not how: the same documents as multipart or as JSON are the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of an operation with its parts. Each part goes in with its length, so that no two
    /// lists of parts are alike.
    #[must_use]
    pub fn of<'a>(operation: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut digest = Sha256::new();
        for part in std::iter::once(operation).chain(parts) {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self(hex::encode(digest.finalize()))
    }

    /// The digest in hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_repeats_and_sees_every_boundary() {
        let one = Fingerprint::of("documents", ["default", "a.md", "x"]);
        assert_eq!(one, Fingerprint::of("documents", ["default", "a.md", "x"]));
        for other in [
            Fingerprint::of("reindex", ["default", "a.md", "x"]),
            Fingerprint::of("documents", ["default", "a.md", "y"]),
            Fingerprint::of("documents", ["defaulta.md", "x"]),
            Fingerprint::of("documents", ["default", "a.md", "x", ""]),
        ] {
            assert_ne!(one, other);
        }
    }
}
