use chrono::{DateTime, Utc};

/// An original in the blob store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOriginal {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// When it was stored last, by the clock of the blob store.
    pub stored_at: DateTime<Utc>,
}
