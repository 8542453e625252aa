use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DocumentId;
use crate::job::Job;
use crate::tenant::Permission;

/// Turns an uploaded original into text chunks and opens the group of [`super::ExtractEntities`] jobs.
///
/// A document deleted since is success. A document that cannot be parsed ends `failed` with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestDocument {
    /// The document of the stamp's knowledge base.
    pub document_id: DocumentId,
    /// The revision that was uploaded; a later upload makes this job a no-op.
    pub revision: u64,
}

impl Job for IngestDocument {
    const TYPE: &'static str = "document.ingest";
    const QUEUE: &'static str = "documents";
    const PERMISSION: Permission = Permission::DocumentCreate;
    const TIMEOUT: Duration = Duration::from_secs(300);
}
