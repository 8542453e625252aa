//! Deadlines of calls into stores.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use crate::error::{FaultKind, StoreError};
use crate::metrics;
use crate::ports::StoreResult;

/// Deadline of reads and single writes.
pub(crate) const CALL: Duration = Duration::from_secs(15);
/// Deadline of calls that move a whole document: its blob, its chunks, its part of the graph.
pub(crate) const BULK: Duration = Duration::from_secs(120);

/// The store did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct DeadlinePassed(Duration);

/// Runs `call`, and records how long it took; when `limit` is over, drops it and returns an error that can be retried.
pub(crate) async fn within<T>(
    operation: &'static str,
    limit: Duration,
    call: impl Future<Output = StoreResult<T>> + Send,
) -> StoreResult<T> {
    let begun = Instant::now();
    let done = bounded(operation, limit, call).instrument(metrics::call_span(operation)).await;
    metrics::called(operation, begun.elapsed(), done.is_ok());
    done
}

/// The same for what makes calls that are recorded by themselves.
pub(crate) async fn bounded<T>(
    operation: &'static str,
    limit: Duration,
    calls: impl Future<Output = StoreResult<T>> + Send,
) -> StoreResult<T> {
    tokio::time::timeout(limit, calls).await.map_err(|_| late(operation, limit))?
}

/// The error of an `operation` that did not end within `limit`. A small call that hangs means that the store is
/// away; one that moves a whole document may just be too large.
pub(crate) fn late(operation: &'static str, limit: Duration) -> StoreError {
    let kind = if limit <= CALL { FaultKind::Unavailable } else { FaultKind::Transient };
    StoreError::of(kind, operation, DeadlinePassed(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_hangs_is_a_passing_fault() {
        let hangs = within::<()>("test.hang", Duration::from_millis(1), std::future::pending());
        let error = hangs.await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}
