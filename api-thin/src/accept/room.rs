use std::time::Duration;

use jobs::envelope::StampedJob;
use jobs::error::report;
use jobs::queue::QueueError;

use crate::problem::Problem;
use crate::server::ApiState;

/// How long an answer waits for the queue to say whether there is room.
const PATIENCE: Duration = Duration::from_millis(500);

/// Refuses jobs for which their tenant has no room, before anything of them is written. A queue that is away
/// refuses nothing: what is accepted then is delivered later.
///
/// # Errors
/// When a limit is reached.
pub(super) async fn ensure_room(app: &ApiState, jobs: &[StampedJob]) -> Result<(), Problem> {
    match tokio::time::timeout(PATIENCE, app.queue().room_for(jobs)).await {
        Ok(Err(QueueError::LimitReached(limits))) if !limits.is_empty() => {
            Err(Problem::from(QueueError::LimitReached(limits)))
        }
        Ok(Err(error)) => {
            tracing::warn!(error = report(&error), "the queue does not say whether there is room: accepting");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the queue is slow to say whether there is room: accepting");
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
    }
}
