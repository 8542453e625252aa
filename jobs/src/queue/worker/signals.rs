//! Stops the work of jobs that somebody cancelled, and notices work that does not stop.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;

use super::backoff::jittered;
use super::shared::Shared;
use crate::error::report;
use crate::queue::connection::Resend;
use crate::queue::error::QueueError;

/// How often a worker that runs something looks. A poll, because a message can get lost.
const PERIOD: Duration = Duration::from_millis(400);
/// Most requests that are read at once. They leave when the jobs end.
const REQUESTS: isize = 1_000;
/// Work that goes on for this long after it was told to stop is stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut stuck_before = 0;
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(PERIOD)) => {}
        }
        if !shared.claims.is_empty()
            && let Err(error) = look(&shared).await
        {
            tracing::warn!(error = report(&error), "cannot see which jobs were cancelled, trying again");
        }
        let stuck = shared.claims.stuck(STUCK);
        if stuck > stuck_before {
            tracing::error!(
                jobs = stuck,
                "jobs do not stop although they were told to; they hold their slots"
            );
        }
        stuck_before = stuck;
    }
}

async fn look(shared: &Shared) -> Result<(), QueueError> {
    let mut command = Cmd::new();
    command.arg("ZREVRANGE").arg(shared.queue.key("s")).arg(0).arg(REQUESTS);
    let requests: Vec<String> = shared.queue.connection().query(&command, Resend::Safe).await?;
    for request in requests {
        let mut words = request.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("*"), Some(tenant), Some(fence)) => {
                shared.claims.call_off_tenant(tenant, fence.parse().unwrap_or(0));
            }
            (Some(fence), Some(id), None) => shared.claims.call_off(fence.parse().unwrap_or(0), id),
            _ => {}
        }
    }
    Ok(())
}
