//! Says at intervals which lanes this worker serves.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::jittered;
use super::shared::Shared;
use crate::error::report;

const PERIOD: Duration = Duration::from_secs(4);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = match shared.queue.heartbeat(&shared.name, &shared.options.lanes, true).await {
            Ok(()) => PERIOD,
            Err(error) => {
                tracing::warn!(error = report(&error), "cannot tell which lanes are served, trying again");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(wait)) => {}
        }
    }
}
