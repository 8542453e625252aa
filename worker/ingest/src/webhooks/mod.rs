//! Sending webhooks: where a request may go, and what it carries.
//!
//! A tenant chooses the URL, so the request is made as if an attacker had: the name is resolved here and only to public
//! addresses, the connection goes to exactly those, redirects are not followed, proxies of the environment are not
//! used, and nothing of the answer but its status is kept.

mod egress;
mod lookup;
mod message;

use std::time::Duration;

pub use egress::{Egress, NoClient};
pub use lookup::{Lookup, SystemLookup};
pub use message::{InvalidSecret, Message};

/// Why an attempt failed: a stable code for the delivery log, and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code, `snake_case`.
    pub code: &'static str,
    /// What happened. Nothing of the answer's body.
    pub detail: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

impl Failure {
    /// A failure without an answer.
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), status: None }
    }
}

/// How long a request may take at most.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until there is a connection, the name resolved and TLS agreed.
    pub connect: Duration,
    /// Until the answer's status is there.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15) }
    }
}
