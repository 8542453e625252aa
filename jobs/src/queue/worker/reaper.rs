//! Looks for claims of workers that vanished, anybody's.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::jittered;
use super::shared::Shared;
use crate::error::report;
use crate::queue::claim::Reaped;
use crate::queue::error::QueueError;
use crate::queue::record;

/// Most claims in one call, because a script has to end soon.
const CALL_CLAIMS: u32 = 2;
/// Most calls in a row.
const CALLS: usize = 50;

pub(super) async fn run(shared: Arc<Shared>) {
    let period = (shared.queue.config().lease / 6).clamp(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(period)) => {}
        }
        if let Err(error) = sweep(&shared).await {
            tracing::warn!(error = report(&error), "cannot look for lost claims, trying again");
        }
    }
}

async fn sweep(shared: &Shared) -> Result<(), QueueError> {
    for _ in 0..CALLS {
        let reaped = shared.queue.reap(CALL_CLAIMS).await?;
        if reaped.claims > 0 {
            let Reaped { claims, returned, quarantined } = &reaped;
            tracing::warn!(
                claims,
                returned,
                quarantined = quarantined.len(),
                "took back the jobs of lost claims"
            );
        }
        announce(shared, &reaped.quarantined).await?;
        if reaped.claims < CALL_CLAIMS as usize {
            break;
        }
    }
    Ok(())
}

async fn announce(shared: &Shared, quarantined: &[(String, String)]) -> Result<(), QueueError> {
    let ids: Vec<String> = quarantined.iter().map(|(_, id)| id.clone()).collect();
    let records = shared.queue.records(&ids).await?;
    for ((tenant, id), record) in quarantined.iter().zip(records) {
        let read = record.as_deref().and_then(record::parse);
        let code = if read.is_some() { "worker_died" } else { "record_damaged" };
        shared.report_quarantined(tenant, id, read.map(|record| record.wire.to_owned()), code);
    }
    Ok(())
}
