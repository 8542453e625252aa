use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use jobs::{BatchId, DocumentId, JobId};
use serde::{Deserialize, Serialize};

use crate::documents::ChunkFault;

/// Status of a document on its way into the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DocumentStatus {
    /// Accepted, its original stored; not processed yet.
    Pending,
    /// Parsed; its entities are being extracted or merged.
    Processing,
    /// In the graph.
    Processed,
    /// In the graph, but for chunks from which nothing could be extracted. Served like a processed one.
    Partial,
    /// Processing failed for good; the document's error says why.
    Failed,
}

impl DocumentStatus {
    /// Every status, in the order in which a document passes them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Processing, Self::Processed, Self::Partial, Self::Failed];

    /// Whether it is in the graph, as a whole or in part.
    #[must_use]
    pub const fn is_in_graph(self) -> bool {
        matches!(self, Self::Processed | Self::Partial)
    }

    /// The status in the table: a partial document is a processed one of which chunks failed.
    pub(crate) const fn stored(self) -> &'static str {
        match self {
            Self::Partial => Self::Processed.as_str(),
            other => other.as_str(),
        }
    }

    /// The name used in tables and HTTP answers, as in `LightRAG`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for DocumentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a document status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a document status: expected pending, processing, processed, partial or failed")]
pub struct InvalidStatus;

impl FromStr for DocumentStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(InvalidStatus)
    }
}

/// Which documents of a knowledge base are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentSelection {
    /// All of them.
    All,
    /// Those in a status.
    InStatus(DocumentStatus),
    /// These, as far as they exist.
    Ids(Vec<DocumentId>),
}

/// Why a document failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DocumentFault {
    /// Stable code, `snake_case`.
    pub code: String,
    /// What happened and what to do.
    pub detail: String,
}

/// What could not be extracted from a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many of its chunks gave nothing.
    pub chunks_failed: u32,
    /// The first of them, at most [`Losses::LISTED`].
    pub chunks: Vec<FailedChunk>,
    /// Records that the extractor gave and that could not be kept.
    pub records_dropped: u64,
}

impl Losses {
    /// How many chunks are listed.
    pub const LISTED: usize = 100;
}

/// A chunk that gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct FailedChunk {
    /// Its index, from zero.
    pub chunk: u32,
    /// Why.
    #[serde(flatten)]
    pub fault: ChunkFault,
}

/// A document as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id inside the knowledge base, derived from its name.
    pub id: DocumentId,
    /// Its (relative) file name, unique in the knowledge base.
    pub name: String,
    /// Incremented with each upload under this name; jobs of an older revision do nothing.
    pub revision: u64,
    /// The media type of the original.
    pub media_type: String,
    /// The size of the original in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the original, in hexadecimal.
    pub sha256: String,
    /// Its status.
    pub status: DocumentStatus,
    /// The error, if it failed.
    pub fault: Option<DocumentFault>,
    /// The revision that is in the index and that queries see; `None` when none is. Stays while a later one is made.
    pub served: Option<u64>,
    /// The size of the served revision in the index.
    pub counts: DocumentCounts,
    /// Number of chunks of the revision that is being made, as soon as it was read.
    pub staged_chunks: u32,
    /// What is missing there; of a document that is not in the graph, what was missing before.
    pub losses: Losses,
    /// The job that ingests this revision.
    pub job_id: JobId,
    /// The batch of the upload; `None` for documents that were uploaded before there were batches.
    pub batch: Option<BatchId>,
    /// When a document of this name was first uploaded.
    pub created_at: DateTime<Utc>,
    /// When this row was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The size of a document in the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DocumentCounts {
    /// Text chunks.
    pub chunks: u32,
    /// Distinct entities it mentions.
    pub entities: u32,
    /// Distinct relations it mentions.
    pub relations: u32,
}

/// What the index holds of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The revision.
    pub revision: u64,
    /// SHA-256 and size of its original, where they are known.
    pub original: Option<(String, u64)>,
    /// How much of it there is.
    pub counts: DocumentCounts,
}

/// A document to register. Its original is in the blob store already.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// Its id: [`DocumentId::of_name`] of `name`.
    pub id: DocumentId,
    /// Its (relative) file name.
    pub name: String,
    /// The revision of this upload: one more than that of [`super::KnownDocument`].
    pub revision: u64,
    /// The media type of the original.
    pub media_type: String,
    /// The size of the original.
    pub size_bytes: u64,
    /// SHA-256 of the original, in hexadecimal.
    pub sha256: String,
    /// The job that will ingest it.
    pub job_id: JobId,
}
