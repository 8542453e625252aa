use std::time::Duration;

/// How much one request may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest document, in bytes.
    pub document_bytes: usize,
    /// The largest request body, in bytes: several documents may come in one.
    pub request_bytes: usize,
    /// How many bytes of uploads may be in memory at once. Further uploads wait.
    pub uploads_bytes: usize,
    /// How long an upload waits at most for room in memory.
    pub upload_wait: Duration,
    /// How long nothing of a body may come; a body without good credentials is complete by then.
    pub body_idle_time: Duration,
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
    /// The largest body of a request that uploads nothing.
    pub const BODY_BYTES: usize = 256 << 10;
    /// The largest body of a request without good credentials, such as a log-in.
    pub const STRANGERS_BODY_BYTES: usize = 16 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            document_bytes: 20 * MIB,
            request_bytes: 64 * MIB,
            uploads_bytes: 512 * MIB,
            upload_wait: Duration::from_secs(10),
            body_idle_time: Duration::from_secs(15),
            request_time: Duration::from_secs(120),
            schedule_interval: Duration::from_secs(300),
        }
    }
}
