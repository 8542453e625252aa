use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DocumentId;
use crate::job::{Job, Priority};
use crate::tenant::Permission;

/// Removes a document from every store.
///
/// A document that does not exist any more is success. A document uploaded again after the request stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteDocument {
    /// The document of the stamp's knowledge base.
    pub document_id: DocumentId,
    /// The revision to be deleted; a later upload makes this job a no-op.
    pub revision: u64,
}

impl Job for DeleteDocument {
    const TYPE: &'static str = "document.delete";
    const QUEUE: &'static str = "documents";
    const PERMISSION: Permission = Permission::DocumentDelete;
    const TIMEOUT: Duration = Duration::from_secs(300);
    // Runs before the document's other jobs, which then stop early.
    const PRIORITY: Priority = Priority::High;
}
