//! A job type of your own: the payload, its name, and what is to be done.

use jobs::{Job, JobError};
use serde::{Deserialize, Serialize};
use worker::{Handler, JobContext};

use crate::Mailer;

/// Sends one invoice. The payload holds only an id; the stamp says which tenant the invoice belongs to.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendInvoice {
    /// The id of the invoice.
    pub invoice_id: u64,
}

impl Job for SendInvoice {
    const TYPE: &'static str = "invoice.send";
}

impl Handler for SendInvoice {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        cx.state::<Mailer>()?.send(cx.tenant().tenant_id(), self.invoice_id)
    }
}
