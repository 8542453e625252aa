//! What was decided about the flow of a tenant's jobs.

use std::collections::BTreeMap;

use jobs::queue::Flow;

/// How many queues are remembered that flow again.
const OPEN_MAX: usize = 100;

/// `flows` after one more decision: of `queue`, or of all queues. That a queue flows again is remembered as well: the
/// queue's copy may say otherwise.
pub(crate) fn with(
    mut flows: BTreeMap<String, Flow>,
    queue: Option<&str>,
    flow: Flow,
) -> BTreeMap<String, Flow> {
    if flows.len() > OPEN_MAX {
        flows.retain(|_, flow| *flow != Flow::Open);
    }
    flows.insert(queue.unwrap_or_default().to_owned(), flow);
    flows
}
