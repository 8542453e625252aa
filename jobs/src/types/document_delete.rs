use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DocumentId;
use crate::job::{Job, Priority};
use crate::tenant::Permission;

/// Removes a document from every store.
///
/// A document that is gone is success. One that was uploaded again since it was to be deleted stays.
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
    // What is still to be done for the document is then not done in vain.
    const PRIORITY: Priority = Priority::High;
}
