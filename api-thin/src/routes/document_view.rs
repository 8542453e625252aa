use chrono::{DateTime, Utc};
use jobs::{DocumentId, JobId};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::{Document, DocumentCounts, DocumentFault, DocumentStatus};

/// A document, and how far it is on its way into the graph.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub(super) struct DocumentView {
    id: DocumentId,
    /// Its (relative) file name.
    name: String,
    /// How often the name was uploaded.
    revision: u64,
    status: DocumentStatus,
    /// Why it failed, when it did.
    error: Option<DocumentFault>,
    media_type: String,
    /// The size of the original.
    size_bytes: u64,
    /// SHA-256 of the original, in hexadecimal.
    sha256: String,
    /// What is in the index of it.
    counts: DocumentCounts,
    /// The job that ingests this revision.
    job_id: JobId,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> Self {
        Self {
            id: document.id,
            name: document.name,
            revision: document.revision,
            status: document.status,
            error: document.fault,
            media_type: document.media_type,
            size_bytes: document.size_bytes,
            sha256: document.sha256,
            counts: document.counts,
            job_id: document.job_id,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

/// Documents, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DocumentPage {
    pub(super) documents: Vec<DocumentView>,
    /// Where the next page begins; null at the end.
    pub(super) next: Option<String>,
}
