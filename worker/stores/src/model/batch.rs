//! Batches: the documents that one request, or one folder, brought in.

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::{BatchId, DocumentId, JobId};
use serde::Serialize;

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
