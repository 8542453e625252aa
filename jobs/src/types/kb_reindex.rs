use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::envelope::{Unique, UniqueScope};
use crate::id::DocumentId;
use crate::job::{Job, Lane, Priority};
use crate::tenant::Permission;

/// Ingests every document of a knowledge base again, one stamped job for each.
///
/// Works through the documents page by page: a job that ends with more to do enqueues the next page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReindexKb {
    /// The last document of the page before, `None` for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DocumentId>,
}

impl Job for ReindexKb {
    const TYPE: &'static str = "kb.reindex";
    const QUEUE: &'static str = "maintenance";
    const PERMISSION: Permission = Permission::DocumentUpdate;
    const TIMEOUT: Duration = Duration::from_secs(120);
    const PRIORITY: Priority = Priority::Low;
    const LANE: Lane = Lane::Bulk;
    /// One that waits does the work of all that are asked for until it starts. One that runs has read documents
    /// already, so another one may wait behind it.
    const UNIQUE: Option<Unique> = Some(Unique::args().scope(UniqueScope::UntilStarted));
}
