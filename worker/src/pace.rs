//! The beat of everything periodic.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A beat with jitter: replicas that start together must not act together for ever.
pub(crate) struct Pace {
    every: Duration,
}

impl Pace {
    pub(crate) fn every(every: Duration) -> Self {
        Self { every }
    }

    /// Waits between half and one and a half of the interval. `false` when `stop` fired.
    pub(crate) async fn next(&mut self, stop: &CancellationToken) -> bool {
        let wait = self.every.mul_f64(0.5 + rand::random::<f64>());
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}
