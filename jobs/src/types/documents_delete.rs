use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::JobId;
use crate::job::{Job, Priority};
use crate::tenant::Permission;

/// Removes the documents on a list of the stamp's knowledge base from every store.
///
/// The request that enqueues it wrote the list, each document at the revision that it had then: a document that is
/// uploaded again stays. Works through the list part by part: a job that ends with more to do enqueues the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteDocuments {
    /// The list, which is called like the first job that works on it.
    pub list: JobId,
}

impl Job for DeleteDocuments {
    const TYPE: &'static str = "documents.delete";
    const QUEUE: &'static str = "maintenance";
    const PERMISSION: Permission = Permission::DocumentDelete;
    const TIMEOUT: Duration = Duration::from_secs(1800);
    // Runs before other jobs of its documents, which then stop early.
    const PRIORITY: Priority = Priority::High;
}
