use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much one request may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest document, in bytes.
    pub document_bytes: usize,
    /// The largest request body, in bytes: several documents may come in one.
    pub request_bytes: usize,
    /// How many bytes of uploads may be in memory at once. Further uploads wait.
    pub uploads_bytes: usize,
    /// How long a request may take, its body included.
    pub request_time: Duration,
    /// The shortest time between two firings of a schedule.
    pub schedule_interval: Duration,
}

impl Limits {
    /// The most documents in one request.
    pub const DOCUMENTS: usize = 100;
    /// The most items on one page of an answer.
    pub const PAGE: u32 = 1_000;
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            document_bytes: 20 * MIB,
            request_bytes: 64 * MIB,
            uploads_bytes: 512 * MIB,
            request_time: Duration::from_secs(120),
            schedule_interval: Duration::from_secs(300),
        }
    }
}

/// Keeps the uploads that are in memory at once below a limit, however many clients upload.
#[derive(Debug, Clone)]
pub struct UploadBudget {
    kib: Arc<Semaphore>,
    request_kib: u32,
}

impl UploadBudget {
    /// A budget of `limits.uploads_bytes`, at least one largest request.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let request_kib = kib(limits.request_bytes);
        let all = kib(limits.uploads_bytes).max(request_kib);
        Self { kib: Arc::new(Semaphore::new(all as usize)), request_kib }
    }

    /// Waits until a body of `content_length` bytes fits; one of unknown length counts as the largest.
    pub async fn reserve(&self, content_length: Option<u64>) -> Option<OwnedSemaphorePermit> {
        let announced =
            content_length.and_then(|bytes| usize::try_from(bytes).ok()).map_or(self.request_kib, kib);
        Arc::clone(&self.kib).acquire_many_owned(announced.min(self.request_kib)).await.ok()
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
