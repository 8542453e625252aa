//! Something of the program's own that handlers need. In your program it would be a client of a mail server.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs::JobError;
use jobs::tenant::TenantId;
use tokio::sync::watch;

/// Pretends to send mail. Clones share what was sent.
#[derive(Debug, Clone)]
pub struct Mailer {
    sent: Arc<watch::Sender<Vec<String>>>,
    seen: Arc<Mutex<HashSet<TenantId>>>,
}

impl Default for Mailer {
    fn default() -> Self {
        Self { sent: Arc::new(watch::Sender::new(Vec::new())), seen: Arc::default() }
    }
}

impl Mailer {
    /// Sends an invoice. Like a careful mail server, it turns the first mail for each tenant away for a
    /// second.
    ///
    /// # Errors
    /// [`JobError::RetryAfter`] for that first mail.
    pub fn send(&self, tenant: &TenantId, invoice_id: u64) -> Result<(), JobError> {
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone()) {
            return Err(JobError::retry_after(Duration::from_secs(1), "the mail server is busy"));
        }
        self.sent.send_modify(|sent| sent.push(format!("{tenant}/{invoice_id}")));
        Ok(())
    }

    /// The mails sent so far, as `tenant/invoice`.
    #[must_use]
    pub fn sent(&self) -> watch::Receiver<Vec<String>> {
        self.sent.subscribe()
    }
}
