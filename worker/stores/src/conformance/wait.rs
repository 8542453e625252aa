use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);

/// Asks again and again until the answer is yes.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < LIMIT, "still not so after {LIMIT:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}
