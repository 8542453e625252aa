use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{Job, Priority};
use crate::tenant::Permission;

/// Empties every store of the stamp's knowledge base and removes it.
///
/// A knowledge base that does not exist any more is success; one not marked for deletion stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteKb {}

impl Job for DeleteKb {
    const TYPE: &'static str = "kb.delete";
    const QUEUE: &'static str = "maintenance";
    const PERMISSION: Permission = Permission::KbDelete;
    const NEEDS_KB: bool = false;
    const TIMEOUT: Duration = Duration::from_secs(1800);
    const PRIORITY: Priority = Priority::High;
}
