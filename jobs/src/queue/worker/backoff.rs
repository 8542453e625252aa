//! Waiting that grows, and that two processes never do in step.

use std::time::Duration;

/// Exponential backoff with full jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    pub(super) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(super) const fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    pub(super) async fn wait(&mut self) {
        let longest = self.next;
        self.next = (self.next * 2).min(Self::LONGEST);
        tokio::time::sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// A period of about `mean`, different each time.
pub(super) fn jittered(mean: Duration) -> Duration {
    mean.mul_f64(rand::random_range(0.8..1.2))
}
