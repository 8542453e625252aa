use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::id::JobId;
use crate::tenant::TenantId;

/// A job that this process has claimed. Its bytes were not checked yet: [`crate::envelope::Verifier::verify`]
/// does.
#[derive(Debug, Clone)]
pub struct FetchedJob {
    /// In whose queue it was: what `verify` compares the stamp with.
    pub tenant: TenantId,
    /// Its id, as the queue knows it.
    pub id: JobId,
    /// The signed bytes.
    pub wire: Arc<str>,
    /// How often its handler failed before.
    pub attempts: u32,
    /// How often a worker vanished while it ran.
    pub deaths: u32,
    /// How often it was given back at a shutdown.
    pub interruptions: u32,
    /// How often it came when its tenant could not run.
    pub parks: u32,
    /// Whether it was a dead letter or in quarantine, and was started again.
    pub redriven: bool,
    /// Grows with every claim: a store can refuse a writer that comes with a smaller one than it has seen.
    pub fence: u64,
    /// Fires when the handler must stop: the claim is lost or about to be, or the process shuts down.
    pub cancel: CancellationToken,
    pub(in crate::queue) called_off: Arc<AtomicBool>,
}

impl FetchedJob {
    /// Whether [`FetchedJob::cancel`] fired because somebody cancelled the job: then it does not come back.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.called_off.load(Ordering::Acquire)
    }
}

/// A job that the queue itself put in quarantine, so that whoever waits for it can be told.
#[derive(Debug, Clone)]
pub struct QuarantinedJob {
    /// In whose queue it was.
    pub tenant: TenantId,
    /// Its id.
    pub id: JobId,
    /// Its signed bytes, if they are still there. Unchecked.
    pub wire: Option<String>,
    /// Why: `worker_died`, `record_damaged` or `record_missing`.
    pub code: &'static str,
}
