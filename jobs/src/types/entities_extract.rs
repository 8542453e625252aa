use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DocumentId;
use crate::job::Job;
use crate::tenant::Permission;

/// Finds the entities and relations that a run of a document's chunks names.
///
/// Chunks whose result is stored already are skipped, so a second attempt pays only for what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractEntities {
    /// The document of the stamp's knowledge base.
    pub document_id: DocumentId,
    /// The revision that the chunks belong to; a later upload makes this job a no-op.
    pub revision: u64,
    /// The first chunk, counted from zero.
    pub first: u32,
    /// Number of chunks.
    pub count: u32,
}

impl Job for ExtractEntities {
    const TYPE: &'static str = "entities.extract";
    const QUEUE: &'static str = "enrich";
    const PERMISSION: Permission = Permission::DocumentCreate;
    const TIMEOUT: Duration = Duration::from_secs(600);
}
