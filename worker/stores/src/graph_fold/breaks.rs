//! Loops over all that a document says, which may be a million things, on a thread of the runtime.

/// Steps between two breaks: well below a millisecond.
const STEPS: u32 = 128;

/// Lets the thread do other things between the steps of a loop.
#[derive(Debug, Default)]
pub(crate) struct Breaks {
    steps: u32,
}

impl Breaks {
    /// To be called once in each round of the loop.
    pub(crate) async fn step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) {
            tokio::task::yield_now().await;
        }
    }
}
