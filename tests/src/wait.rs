//! Waiting for a condition instead of for a while.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a test that works never waits for it.
const DEADLINE: Duration = Duration::from_secs(90);

/// Asks again and again until `look` says `Ok`. Its `Err` says how things are, for the message of a test that
/// fails.
///
/// # Panics
/// When the condition does not come true within the deadline.
pub async fn wait_for<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(status) => {
                assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}; it is {status:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
