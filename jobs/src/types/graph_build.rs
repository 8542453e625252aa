use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DocumentId;
use crate::job::Job;
use crate::tenant::Permission;

/// Merges what was extracted from one document into its knowledge base's graph and marks the document
/// processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildGraph {
    /// The document of the stamp's knowledge base.
    pub document_id: DocumentId,
    /// The revision that the extractions belong to; a later upload makes this job a no-op.
    pub revision: u64,
    /// How often chunks without a result were given to other jobs before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// Whether the chunks of a partial document that gave nothing are extracted once more first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
}

impl BuildGraph {
    /// The first such job of a revision.
    #[must_use]
    pub const fn of(document_id: DocumentId, revision: u64) -> Self {
        Self { document_id, revision, again: 0, retry: false }
    }

    /// Extracts the chunks of a partial document once more that gave nothing.
    #[must_use]
    pub fn retrying(document_id: DocumentId, revision: u64) -> Self {
        Self { retry: true, ..Self::of(document_id, revision) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Job for BuildGraph {
    const TYPE: &'static str = "graph.build";
    const QUEUE: &'static str = "enrich";
    const PERMISSION: Permission = Permission::DocumentCreate;
    const TIMEOUT: Duration = Duration::from_secs(300);
}
