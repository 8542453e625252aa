//! Batches: the documents that one request, or one folder, brought in.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::{DocumentId, JobId};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// Names a batch inside its tenant: a UUID of version 7, so that ids are in the order of their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(Uuid);

/// A text that is not the id of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a batch id: expected a UUID of version 7 in lower case")]
pub struct InvalidBatchId;

impl BatchId {
    /// A fresh id, created at `now`; `random` tells ids of the same millisecond apart.
    #[must_use]
    pub fn generate(now: DateTime<Utc>, random: [u8; 10]) -> Self {
        let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        Self(Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
    }

    /// When the id was made, as it says itself.
    #[must_use]
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }

    pub(crate) const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BatchId {
    type Err = InvalidBatchId;

    /// Only the usual form, so that each batch has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidBatchId> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidBatchId)?;
        if id.get_version_num() == 7 && id.to_string() == text { Ok(Self(id)) } else { Err(InvalidBatchId) }
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for BatchId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BatchId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Names a batch: a UUID of version 7.",
            "format": "uuid",
            "examples": ["0190b5a8-7c00-7000-8000-00000000ba7c"],
        })
    }
}

/// How many documents of a batch are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename = "BatchCounts"))]
pub struct BatchCounts {
    /// Accepted, not read yet.
    pub pending: u64,
    /// Read; their entities are being extracted or merged.
    pub processing: u64,
    /// In the graph.
    pub processed: u64,
    /// Failed for good, or cancelled.
    pub failed: u64,
    /// Replaced by a later upload under the same name, which belongs to another batch.
    pub replaced: u64,
    /// Deleted, or being deleted.
    pub deleted: u64,
}

impl BatchCounts {
    /// All documents that the batch brought in.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.open() + self.ended()
    }

    /// Those on their way into the graph.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.pending + self.processing
    }

    /// Those for which nothing more happens.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.processed + self.failed + self.replaced + self.deleted
    }
}

/// A batch as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// The knowledge bases of its documents: one, unless the caller used the id in several.
    pub kbs: Vec<KbId>,
    /// Its documents.
    pub counts: BatchCounts,
    /// When the last of its documents changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was cancelled, if it was.
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// What the end of a batch is estimated from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchPace {
    /// How many of its documents ended in the time looked at.
    pub ended: u64,
    /// When the first of those ended.
    pub first_end: Option<DateTime<Utc>>,
    /// The ingest job of a document that waits.
    pub waiting: Option<JobId>,
}

/// A document of a batch that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFailure {
    /// Its knowledge base.
    pub kb: KbId,
    /// Its id.
    pub document: DocumentId,
    /// Its (relative) file name.
    pub name: String,
    /// Stable code of what went wrong.
    pub code: String,
    /// What happened and what to do.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_it_was_made_and_has_one_spelling() {
        let now = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let id = BatchId::generate(now, [7; 10]);
        assert_eq!(id.created_at(), Some(now));
        assert_eq!(id.to_string().parse(), Ok(id));
        let version_4 = "2c1b7a52-3a55-4e0c-9a48-0f0f5a3a1111";
        for bad in ["", "x", version_4, &id.to_string().to_uppercase(), &format!("{{{id}}}")] {
            assert_eq!(bad.parse::<BatchId>(), Err(InvalidBatchId), "{bad}");
        }
    }
}
